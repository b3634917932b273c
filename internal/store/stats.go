package store

import (
	"sync/atomic"
	"time"
)

// Stats are counters since Open, for metrics.
type Stats struct {
	Transactions uint64  // operations that were committed
	Batches      uint64  // commits of the SQLite writer; PostgreSQL: of any operation
	LargestBatch uint64  // operations in the largest commit
	Retries      uint64  // PostgreSQL: operations repeated after a conflict or a lost connection
	Refused      uint64  // operations refused because the writer's queue was full
	Failed       uint64  // operations that failed as "unavailable" after they were accepted
	Damaged      bool    // damage was detected
	Queue        int     // operations that wait for the SQLite writer now
	ReadSeconds  float64 // time of callers in reads
	WriteSeconds float64 // time of callers in writes, with the time in the queue
}

type counters struct {
	transactions, batches, largest, retries, refused, failed atomic.Uint64
	readNanos, writeNanos                                    atomic.Int64
}

func (c *counters) since(sum *atomic.Int64, start time.Time) {
	sum.Add(int64(time.Since(start)))
}

func (c *counters) committed(acts uint64) {
	c.batches.Add(1)
	c.transactions.Add(acts)
	for {
		largest := c.largest.Load()
		if acts <= largest || c.largest.CompareAndSwap(largest, acts) {
			return
		}
	}
}

// Stats returns the counters.
func (s *Store) Stats() Stats {
	c := &s.count
	stats := Stats{
		Transactions: c.transactions.Load(), Batches: c.batches.Load(), LargestBatch: c.largest.Load(),
		Retries: c.retries.Load(), Refused: c.refused.Load(), Failed: c.failed.Load(),
		Damaged:      s.damaged.Load() != nil,
		ReadSeconds:  time.Duration(c.readNanos.Load()).Seconds(),
		WriteSeconds: time.Duration(c.writeNanos.Load()).Seconds(),
	}
	if s.writer != nil {
		stats.Queue = len(s.writer.queue)
	}
	return stats
}

package store

import (
	"context"
	"errors"
	"os"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// logSize is how many bytes the write-ahead log of SQLite keeps on the disk: what it
// takes between two checkpoints of 1,000 pages. The pragma makes a commit that begins
// the log again cut it.
const (
	logSize       = 4 << 20
	logSizePragma = "journal_size_limit(4194304)"
)

// TrimLog gives the disk space of the write-ahead log back after a peak, such as a
// long read that kept the log from being used again. It does nothing while the log is
// small, and gives way to requests: it waits for no lock, so that a later call may have
// to do it.
func (s *Store) TrimLog(ctx context.Context) error {
	if s.writer == nil {
		return nil
	}
	if log, err := os.Stat(s.target.Path + "-wal"); err != nil || log.Size() <= logSize {
		return nil //nolint:nilerr // without a log nothing is to be done; Ping notices one that was removed
	}
	db, err := engine.OpenFile(s.target.Path, "busy_timeout(0)")
	if err != nil {
		return s.classify(err)
	}
	// The first one copies pages beside the writer, so that the second one, which keeps
	// the writer out, finds hardly any.
	for _, mode := range []string{"PASSIVE", "TRUNCATE"} {
		_, failed := db.ExecContext(context.WithoutCancel(ctx), "PRAGMA wal_checkpoint("+mode+")")
		if err == nil && engine.ConditionOf(failed) != engine.Temporary { // a busy log is trimmed later
			err = failed
		}
	}
	return s.classify(errors.Join(err, db.Close()))
}

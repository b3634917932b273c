package server

import (
	"runtime"
	measure "runtime/metrics"
	"testing"
	"time"
)

func TestHeapGrowsAsMuchAsByDefaultForFewAndForVeryManyConnections(t *testing.T) {
	for _, mebibytes := range []uint64{0, 1, 4, 32, 33, 1000} {
		if percent := gcPercent(mebibytes << 20); percent != 100 {
			t.Errorf("%d MiB scanned: GOGC is %d", mebibytes, percent)
		}
	}
}

// A collection costs what it scans, so it must not be for too little.
func TestHeapGrowsByHalfAtLeastBetweenCollections(t *testing.T) {
	const mebibyte = 1 << 20
	var before uint64
	for scanned := uint64(mebibyte); scanned < 100*mebibyte; scanned += mebibyte / 4 {
		percent := gcPercent(scanned)
		if percent < 50 || percent > 100 || percent%10 != 0 {
			t.Errorf("%d bytes scanned: GOGC is %d", scanned, percent)
		}
		growth := scanned * uint64(percent) / 100 // of what has pointers
		if scanned <= 8*mebibyte && growth > 9*mebibyte/2 {
			t.Errorf("%d bytes scanned: the heap grows by %d", scanned, growth)
		}
		if growth*5/4 < before {
			t.Errorf("%d bytes scanned: the heap grows by %d, with less by %d", scanned, growth, before)
		}
		before = growth
	}
}

func TestGOGCFollowsTheHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	TuneMemory()
	until := func(what string, reached func(percent uint64) bool) {
		t.Helper()
		sample := []measure.Sample{{Name: "/gc/gogc:percent"}}
		for range 6000 {
			runtime.GC()
			if measure.Read(sample); reached(sample[0].Value.Uint64()) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("GOGC is %d %s", sample[0].Value.Uint64(), what)
	}
	type connection [128]*connection
	connections := make([]*connection, 10<<10)
	for i := range connections {
		connections[i] = new(connection)
	}
	until("with 10 MiB of connections", func(percent uint64) bool { return percent <= 60 })
	runtime.KeepAlive(connections)
	list := make([]byte, 40<<20)
	until("with 40 MiB without pointers instead", func(percent uint64) bool { return percent == 100 })
	runtime.KeepAlive(list)
}

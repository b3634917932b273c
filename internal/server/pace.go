package server

import (
	"os"
	"runtime"
	"runtime/debug"
	measure "runtime/metrics"
)

// The bytes that the garbage collector scans. An idle server has 3 MiB, and one with a
// few dozen busy clients up to 8.
const (
	scannedIdle   = 8 << 20
	scannedUnder  = 32 << 20 // many connections at once, such as an attack has
	scannedByLoad = 64 << 20 // that many that their work counts more than memory
)

// TuneMemory lets the heap grow by less between two collections while there are more
// connections than usual, but not so many that collecting would take the processor from
// their requests. It is for the start of the program. A GOGC of the environment stays as
// it is, and the limit of GOMEMLIMIT holds in any case.
func TuneMemory() {
	if os.Getenv("GOGC") == "" {
		(&pace{percent: gcPercent(0)}).afterCollection()
	}
}

// pace adapts the garbage collector after each collection.
type pace struct{ percent int }

// afterCollection arms the next call: a new object without a reference is found by the
// next collection.
func (p *pace) afterCollection() {
	sentinel := &struct{ _ *pace }{}
	runtime.AddCleanup(sentinel, (*pace).collected, p)
}

func (p *pace) collected() {
	if percent := gcPercent(scanned()); percent != p.percent {
		p.percent = percent
		debug.SetGCPercent(percent)
	}
	p.afterCollection()
}

// scanned is how many bytes the last collection has scanned: what GOGC is relative to.
func scanned() (bytes uint64) {
	samples := []measure.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	measure.Read(samples)
	for _, s := range samples {
		bytes += s.Value.Uint64()
	}
	return bytes
}

// gcPercent is GOGC for that many scanned bytes, in steps of 10: changing it stops every
// goroutine for a moment. The heap grows by what was scanned up to scannedIdle, and by
// that much up to twice as many; from then on by half of it up to scannedUnder, and with
// scannedByLoad by as much again.
func gcPercent(scanned uint64) int {
	percent := 100
	switch {
	case scanned <= scannedIdle || scanned >= scannedByLoad:
	case scanned <= scannedUnder:
		percent = max(int(100*scannedIdle/scanned), 50)
	default:
		percent = 50 + int(50*(scanned-scannedUnder)/(scannedByLoad-scannedUnder))
	}
	return (percent + 5) / 10 * 10
}

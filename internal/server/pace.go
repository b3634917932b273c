package server

import (
	"os"
	"runtime"
	"runtime/debug"
	measure "runtime/metrics"
)

// The bytes that the garbage collector scans. An idle server has 1 MiB, and one with a
// few dozen busy clients up to 4. What holds no pointers, such as the list of revoked
// tokens, costs a collection nothing and does not count.
const (
	scannedIdle   = 4 << 20
	scannedUnder  = 16 << 20 // many connections at once, such as an attack has
	scannedByLoad = 32 << 20 // that many that their work counts more than memory
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

// scanned is how many bytes the next collection has to scan, if it began now.
func scanned() (bytes uint64) {
	samples := []measure.Sample{{Name: "/gc/scan/heap:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	measure.Read(samples)
	for _, s := range samples {
		bytes += s.Value.Uint64()
	}
	return bytes
}

// gcPercent is GOGC for that many scanned bytes, in steps of 10: changing it stops every
// goroutine for a moment. By default, up to scannedIdle and from scannedByLoad on, the heap
// grows to twice its size between two collections; by less and less up to twice
// scannedIdle, and by half of its size from there to scannedUnder.
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

//go:build linux

package main

import (
	"debug/elf"
	"fmt"
	"os"
	"time"

	"github.com/pico-auth/pico-auth/bench/report"
	"github.com/pico-auth/pico-auth/bench/site"
)

// start measures what a restart costs, what the program holds while no client
// asks, and the binary itself.
func (l *lab) start() error {
	existing, err := site.New(l.binary, l.dir, nil)
	if err != nil {
		return err
	}
	defer existing.Remove() //nolint:errcheck // the lab's folder goes, too
	if _, err := l.once(existing); err != nil {
		return err
	}
	var idle, first, bare, again []float64
	for range 3 * l.pace.rounds {
		fresh, err := site.New(l.binary, l.dir, nil)
		if err != nil {
			return err
		}
		took, err := l.once(fresh)
		if err != nil {
			return err
		}
		first = append(first, milliseconds(took))
		if err := fresh.Remove(); err != nil {
			return err
		}
		p, err := l.bare()
		if err != nil {
			return err
		}
		bare = append(bare, milliseconds(p.Started))
		_ = p.Stop() // it ends with the signal
		if took, err = l.once(existing); err != nil {
			return err
		}
		again = append(again, milliseconds(took))
	}
	p, err := existing.Start(l.ctx)
	if err != nil {
		return err
	}
	for range l.pace.rounds {
		time.Sleep(l.pace.window / 2)
		idle = append(idle, float64(p.Resident())/(1<<20))
	}
	if err := p.Stop(); err != nil {
		return err
	}
	l.add(
		report.Row{
			Key: "start.existing", Path: "exec to first answer, key and database exist", Unit: "ms", AtMost: 20, Samples: again,
			Context: fmt.Sprintf("%.2f times a bare net/http server's %.1f ms", median(again)/median(bare), median(bare)),
		},
		report.Row{Key: "start.over", Path: "the same over a bare net/http server's", Samples: over(again, bare)},
		report.Row{
			Key: "start.first", Path: "exec to first answer, first ever", Unit: "ms", Samples: first,
			Context: "makes an RSA key, the tables and the first administrator's bcrypt hash",
		},
		report.Row{Key: "start.idle", Path: "resident memory, idle", Unit: "MiB", AtMost: 30, Samples: idle},
	)
	return l.size()
}

// once is one run of the program, up to its first response.
func (l *lab) once(s *site.Site) (time.Duration, error) {
	p, err := s.Start(l.ctx)
	if err != nil {
		return 0, err
	}
	return p.Started, p.Stop()
}

func (l *lab) size() error {
	info, err := os.Stat(l.binary)
	if err != nil {
		return err
	}
	binary, err := elf.Open(l.binary)
	if err != nil {
		return err
	}
	defer binary.Close() //nolint:errcheck // it was only read
	linked := "static"
	for _, part := range binary.Progs {
		if part.Type == elf.PT_INTERP {
			linked = "NOT static"
		}
	}
	l.add(report.Row{
		Key: "start.binary", Path: "size of the binary", Unit: "MB", AtMost: 40,
		Samples: []float64{float64(info.Size()) / 1e6}, Context: linked,
	})
	return nil
}

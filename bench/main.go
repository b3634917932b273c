//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pico-auth/pico-auth/bench/limit"
	"github.com/pico-auth/pico-auth/bench/report"
)

// options are the command line.
type options struct {
	binary string
	out    string
	dir    string
	only   string
	pace   string
	bounds string
	report string
	sizes  string
	note   string
	soak   time.Duration
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == bareServer {
		fmt.Fprintln(os.Stderr, limit.Serve("127.0.0.1:"+os.Getenv("SERVER_PORT")))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse() (options, error) {
	var o options
	quick := flag.Bool("quick", false, "prove in half a minute that the bench works; its numbers mean little")
	flag.StringVar(&o.binary, "binary", "bin/pico-auth", "the program")
	flag.StringVar(&o.out, "out", "bin/bench.json", "file of the result; a run of some scenarios replaces those only")
	flag.StringVar(&o.dir, "dir", "/var/tmp", "folder for databases, on the disk to be measured")
	flag.StringVar(&o.only, "only", "", "scenarios to run, with commas: "+strings.Join(names(), ", "))
	flag.StringVar(&o.bounds, "check", "", "file of bounds: run what they need, shortly, and fail where one is broken")
	flag.StringVar(&o.report, "report", "", "measure nothing: write the result into this document and charts beside it")
	flag.StringVar(&o.sizes, "sizes", "", "with -report: write the rows that size a server into this document, too")
	flag.StringVar(&o.note, "note", "", "a sentence for the document about the machine or the moment")
	flag.DurationVar(&o.soak, "soak", 0, "load the program for so long and fail when it grows")
	flag.Parse()
	switch {
	case flag.NArg() > 0:
		return o, fmt.Errorf("unexpected %q", flag.Arg(0))
	case *quick:
		o.pace = "quick"
	case o.bounds != "":
		o.pace = "check"
	default:
		o.pace = "full"
	}
	path, err := filepath.Abs(o.binary)
	o.binary = path
	return o, err
}

func run(ctx context.Context) error {
	o, err := parse()
	if err != nil {
		return err
	}
	if o.report != "" {
		result, err := report.Read(o.out)
		if err != nil {
			return err
		}
		if o.note != "" {
			result.Note = o.note
		}
		err = result.Update(o.report, filepath.Dir(o.report))
		if o.sizes != "" {
			err = errors.Join(err, result.UpdateSizes(o.sizes))
		}
		return err
	}
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	begin := time.Now()
	chosen, err := choose(o)
	if err != nil {
		return err
	}
	failed := l.perform(chosen)
	result := l.result(time.Since(begin))
	result.Print(os.Stdout)
	if ctx.Err() != nil && o.soak == 0 {
		return errors.Join(failed, fmt.Errorf("ended early: %s stays as it was", o.out))
	}
	if err := l.keep(result, o.only != "" || o.soak > 0); err != nil {
		return errors.Join(failed, err)
	}
	if o.bounds != "" {
		failed = errors.Join(failed, l.check(o.bounds, chosen))
	}
	return failed
}

// keep writes the result. A run of some scenarios replaces those only in an
// earlier result; a run of all replaces everything, also where one failed.
func (l *lab) keep(result report.Result, some bool) error {
	if all, err := report.Read(l.out); err == nil && some {
		all.Merge(result)
		result = all
		slices.SortStableFunc(result.Rows, func(a, b report.Row) int { return place(a) - place(b) })
	}
	return result.Write(l.out)
}

// place is where the row's scenario stands among all; those of a soak are last.
func place(row report.Row) int {
	at := slices.Index(names(), row.Scenario())
	if at < 0 {
		return len(names())
	}
	return at
}

// check measures what broke a bound once more before it believes it: a
// neighbour may have used the machine. A bound of a scenario that was not
// chosen is none.
func (l *lab) check(path string, chosen []scenario) error {
	bounds, err := report.ReadBounds(path)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range chosen {
		names = append(names, s.name)
	}
	bounds = bounds.Of(names)
	keys, sentences := bounds.Broken(l.rows)
	if len(keys) == 0 {
		fmt.Fprintln(os.Stdout, "\nno bound is broken")
		return nil
	}
	fmt.Fprintf(os.Stdout, "\nonce more, since bounds are broken:\n  %s\n", strings.Join(sentences, "\n  "))
	var again []scenario
	for _, s := range chosen {
		if slices.ContainsFunc(keys, func(key string) bool { return report.Row{Key: key}.Scenario() == s.name }) {
			again = append(again, s)
			l.rows = slices.DeleteFunc(l.rows, func(row report.Row) bool { return row.Scenario() == s.name })
		}
	}
	if err := l.perform(again); err != nil {
		return err
	}
	if _, sentences = bounds.Broken(l.rows); len(sentences) > 0 {
		return fmt.Errorf("bounds are broken:\n  %s", strings.Join(sentences, "\n  "))
	}
	fmt.Fprintln(os.Stdout, "\nthe second time no bound is broken")
	return nil
}

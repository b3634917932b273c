//go:build linux

package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/bench/limit"
	"github.com/pico-auth/pico-auth/bench/load"
	"github.com/pico-auth/pico-auth/bench/report"
)

// closed is a side of round that applies the load and keeps what it measured.
func closed(c load.Closed, kept *[]load.Result) func() (float64, error) {
	return func() (float64, error) {
		r, err := c.Run()
		if r.Failed > 0 {
			fmt.Fprintf(os.Stderr, "%s: %d answers were 5xx, %d others were good\n", c.Addr, r.Failed, r.Done)
		}
		*kept = append(*kept, r)
		return r.Rate(), err
	}
}

// bareRate is a side of round that does bare work on all cores and keeps its
// speed.
func bareRate(over time.Duration, newWork func() (func() error, error), kept *[]limit.Speed) func() (float64, error) {
	return func() (float64, error) {
		s, err := limit.Rate(over, newWork)
		*kept = append(*kept, s)
		return s.Rate, err
	}
}

// cpus is the CPU of one work in each round, in microseconds. Where others use
// the machine too it varies far less than a rate.
func cpus(speeds []limit.Speed) []float64 {
	all := make([]float64, len(speeds))
	for i, s := range speeds {
		all[i] = micro(s.CPU)
	}
	return all
}

// cpu is the program's CPU time for one response, in microseconds, NaN when the
// load was too short for one.
func cpu(r load.Result) float64 {
	if r.Short() {
		return math.NaN()
	}
	return micro(r.CPU())
}

// typical is the result with the median rate.
func typical(results []load.Result) load.Result {
	sorted := slices.SortedFunc(slices.Values(results), func(a, b load.Result) int { return cmp.Compare(a.Rate(), b.Rate()) })
	return sorted[len(sorted)/2]
}

// each takes one number of each result.
func each(results []load.Result, number func(load.Result) float64) []float64 {
	all := make([]float64, len(results))
	for i, r := range results {
		all[i] = number(r)
	}
	return all
}

// p50 and p99 are latencies in nanoseconds.
func p50(r load.Result) float64 { return float64(r.Quantile(50)) }

func p99(r load.Result) float64 { return float64(r.Quantile(99)) }

// round runs the sides in turn, each as often as the pace says, so that all of
// them meet the same weather, and returns what each measured.
func (l *lab) round(sides ...func() (float64, error)) ([][]float64, error) {
	measured := make([][]float64, len(sides))
	for range l.pace.rounds {
		for i, side := range sides {
			if err := l.ctx.Err(); err != nil {
				return nil, err
			}
			v, err := side()
			if err != nil {
				return nil, err
			}
			measured[i] = append(measured[i], v)
		}
	}
	return measured, nil
}

// over divides round by round. Where one of both is 0, nothing was answered,
// and the ratio is 0, too: no ratio of nothing looks good.
func over(a, b []float64) []float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		if a[i] != 0 && b[i] != 0 {
			ratios[i] = a[i] / b[i]
		}
	}
	return ratios
}

// measured are the samples that are numbers.
func measured(samples []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(samples), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

// impossible is the share by which a ratio may be beyond what can be: two loads
// in turn never meet quite the same weather.
const impossible = 0.05

// doubt returns why a row cannot be believed when one of the ratios is above
// the most that can be, or below the least; 0 is no such end.
func doubt(ratios []float64, least, most float64) string {
	for _, v := range measured(ratios) {
		if v > 0 && (v < least*(1-impossible) || most > 0 && v > most*(1+impossible)) {
			return fmt.Sprintf("a round of %.2f is impossible: the machine changed in between", v)
		}
	}
	return ""
}

// times multiplies each.
func times(a []float64, by float64) []float64 {
	products := make([]float64, len(a))
	for i := range a {
		products[i] = a[i] * by
	}
	return products
}

func median(a []float64) float64 { return report.Row{Samples: measured(a)}.Median() }

// milliseconds of a duration, and micro for microseconds.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

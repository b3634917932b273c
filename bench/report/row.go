package report

import (
	"fmt"
	"math"
	"slices"
)

// Row is one line of the table: a number that was measured several times and
// what it should be. Most are ratios to a limit of the same round.
type Row struct {
	Key     string    `json:"key"`                // such as login.saturated; bounds name it
	Path    string    `json:"path"`               // what it is, for people
	Unit    string    `json:"unit,omitempty"`     // empty: a ratio
	AtLeast float64   `json:"at_least,omitempty"` // the aim; 0: no such aim
	AtMost  float64   `json:"at_most,omitempty"`  // the aim; 0: no such aim
	Samples []float64 `json:"samples"`            // one a round
	Context string    `json:"context,omitempty"`  // absolute numbers of this machine
	Missing string    `json:"missing,omitempty"`  // why nothing was measured
}

// The verdicts.
const (
	Reached = "reached"
	Missed  = "not reached"
	Noise   = "within noise" // some rounds reach the aim and some do not
	NoAim   = ""
)

// Median is the row's value, NaN when nothing was measured.
func (r Row) Median() float64 {
	if len(r.Samples) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(r.Samples))
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

// Verdict compares every round with the aim.
func (r Row) Verdict() string {
	if r.Missing != "" {
		return "not measured"
	}
	if r.AtLeast == 0 && r.AtMost == 0 {
		return NoAim
	}
	met := 0
	for _, v := range r.Samples {
		if meets(v, r.AtLeast, r.AtMost) {
			met++
		}
	}
	switch met {
	case len(r.Samples):
		return Reached
	case 0:
		return Missed
	default:
		return Noise
	}
}

func meets(v, atLeast, atMost float64) bool {
	return (atLeast == 0 || v >= atLeast) && (atMost == 0 || v <= atMost)
}

// Aim is what the number should be, in words.
func (r Row) Aim() string {
	switch {
	case r.AtLeast != 0:
		return "at least " + r.format(r.AtLeast)
	case r.AtMost != 0:
		return "at most " + r.format(r.AtMost)
	default:
		return ""
	}
}

// Value is the median with its unit.
func (r Row) Value() string {
	if len(r.Samples) == 0 {
		return ""
	}
	return r.format(r.Median())
}

// Spread is the least and the most of the rounds.
func (r Row) Spread() string {
	if len(r.Samples) < 2 {
		return ""
	}
	return number(slices.Min(r.Samples)) + " to " + number(slices.Max(r.Samples))
}

func (r Row) format(v float64) string {
	if r.Unit == "" {
		return number(v)
	}
	return number(v) + " " + r.Unit
}

// number writes three digits, which is more than a measurement is good for.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.5:
		return fmt.Sprintf("%.0f", v)
	case a >= 9.95:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

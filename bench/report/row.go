package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Row is one line of the table: a number that was measured several times and
// what it should be. Most are ratios to a limit of the same round.
type Row struct {
	Key     string    `json:"key"`                // such as login.saturated; bounds name it
	Path    string    `json:"path"`               // what it is, for readers
	Unit    string    `json:"unit,omitempty"`     // empty: a ratio
	AtLeast float64   `json:"at_least,omitempty"` // the aim; 0: no such aim
	AtMost  float64   `json:"at_most,omitempty"`  // the aim; 0: no such aim
	Samples []float64 `json:"samples"`            // one a round
	Context string    `json:"context,omitempty"`  // absolute numbers of this machine
	Missing string    `json:"missing,omitempty"`  // why nothing was measured
	Doubt   string    `json:"doubt,omitempty"`    // why the number cannot be believed
	When    string    `json:"when,omitempty"`     // as in Result; empty: as the result's
	Version string    `json:"version,omitempty"`  // as in Result; empty: as the result's
	Sizes   bool      `json:"sizes,omitempty"`    // one of the few rows that size a server
}

// The verdicts.
const (
	Reached    = "reached"     // the median reaches the aim
	Nearly     = "nearly"      // the median misses it by no more than nearby
	Missed     = "not reached" // the median misses it by more
	Unreliable = "unreliable"  // the rounds differ too much, or the number is impossible
	Failed     = "failed"      // a round had no response
	Unmeasured = "not measured"
	NoAim      = ""
)

const (
	nearby    = 0.03 // share by which a median may miss an aim nearly
	mostApart = 2.0  // factor between the least and the most round of a reliable row
)

// Scenario is the part of the bench that measures the row: its key up to the
// dot.
func (r Row) Scenario() string {
	scenario, _, _ := strings.Cut(r.Key, ".")
	return scenario
}

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

// Verdict judges the rounds by themselves, and then their median by the aim.
func (r Row) Verdict() string {
	switch m := r.Median(); {
	case r.Missing != "" || len(r.Samples) == 0:
		return Unmeasured
	case slices.Contains(r.Samples, 0):
		return Failed
	case r.Doubt != "" || r.apart():
		return Unreliable
	case r.AtLeast == 0 && r.AtMost == 0:
		return NoAim
	case meets(m, r.AtLeast, r.AtMost):
		return Reached
	case meets(m, r.AtLeast*(1-nearby), r.AtMost*(1+nearby)):
		return Nearly
	default:
		return Missed
	}
}

// apart says that the rounds did not measure the same thing.
func (r Row) apart() bool {
	least, most := slices.Min(r.Samples), slices.Max(r.Samples)
	return least != most && (least < 0 || most > mostApart*least)
}

// here is what the table says beside the numbers: those of this machine, and
// what to think of them.
func (r Row) here() string {
	if r.Missing != "" {
		return r.Missing
	}
	var parts []string
	for _, part := range []string{r.Context, r.Doubt} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if r.When != "" || r.Version != "" {
		parts = append(parts, strings.TrimSpace("measured earlier: "+r.When+" "+r.Version))
	}
	return strings.Join(parts, "; ")
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

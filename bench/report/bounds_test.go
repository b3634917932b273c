package report_test

import (
	"slices"
	"testing"

	"github.com/pico-auth/pico-auth/bench/report"
)

func TestBoundsForgiveOnlyTheTolerance(t *testing.T) {
	none := 0.0
	b := report.Bounds{Tolerance: 0.1, Rows: map[string]report.Bound{
		"login.cpu": {AtLeast: 2}, "read.me": {AtMost: 50}, "start.binary": {AtMost: 27, Tolerance: &none},
	}}
	rows := func(login, me, size float64) []report.Row {
		return []report.Row{
			{Key: "login.cpu", Samples: []float64{1, login, 3}},
			{Key: "read.me", Samples: []float64{me}},
			{Key: "start.binary", Samples: []float64{size}},
			{Key: "other", Samples: []float64{0}},
		}
	}
	if keys, sentences := b.Broken(rows(1.81, 54, 27)); len(keys) != 0 {
		t.Errorf("broken within the tolerance: %v", sentences)
	}
	keys, sentences := b.Broken(rows(1.79, 56, 27.01))
	if !slices.Equal(keys, []string{"login.cpu", "read.me", "start.binary"}) || len(sentences) != 3 {
		t.Errorf("beyond the tolerance only these are broken: %v", sentences)
	}
}

// TestABoundWithoutAMeasurementIsBroken: a row that lost its name, failed or was
// refused must not pass for a row that is well.
func TestABoundWithoutAMeasurementIsBroken(t *testing.T) {
	b := report.Bounds{Rows: map[string]report.Bound{"read.me": {AtMost: 50}}}
	for name, rows := range map[string][]report.Row{
		"no row":      {{Key: "read.other", Samples: []float64{1}}},
		"missing":     {{Key: "read.me", Missing: "SKIPPED"}},
		"no sample":   {{Key: "read.me"}},
		"no answer":   {{Key: "read.me", Samples: []float64{0, 40, 40}}},
		"no scenario": nil,
	} {
		if keys, _ := b.Broken(rows); len(keys) != 1 {
			t.Errorf("%s: not broken", name)
		}
	}
	if keys, _ := b.Of([]string{"login"}).Broken(nil); len(keys) != 0 {
		t.Errorf("broken although it was not to be measured: %v", keys)
	}
}

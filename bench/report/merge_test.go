package report_test

import (
	"reflect"
	"testing"

	"github.com/pico-auth/pico-auth/bench/report"
)

// TestMergeKeepsOnlyWhatIsStillTrue: the header is that of the later run, its
// scenarios replace all their rows, and what stays says whence it is.
func TestMergeKeepsOnlyWhatIsStillTrue(t *testing.T) {
	all := report.Result{
		When: "2026-11-20", Version: "v1", Machine: "m", Took: "1s",
		Rows:   []report.Row{{Key: "login.removed"}, {Key: "login.cpu", Path: "old"}, {Key: "read.me"}, {Key: "read.old", When: "2026-11-01", Version: "v0"}},
		Charts: []report.Chart{{Name: "login"}, {Name: "read"}},
	}
	later := report.Result{When: "2026-11-22", Version: "v2", Machine: "m", Took: "2s", Rows: []report.Row{{Key: "login.cpu", Path: "new"}}}
	all.Merge(later)
	want := report.Result{
		When: "2026-11-22", Version: "v2", Machine: "m", Took: "2s",
		Rows: []report.Row{
			{Key: "read.me", When: "2026-11-20", Version: "v1"},
			{Key: "read.old", When: "2026-11-01", Version: "v0"},
			{Key: "login.cpu", Path: "new"},
		},
		Charts: []report.Chart{{Name: "read"}},
	}
	if !reflect.DeepEqual(all, want) {
		t.Errorf("%+v\nwant %+v", all, want)
	}
}

// TestMergeNamesWhatFailed: the earlier rows of a scenario that failed do not
// stand as if they were of this program.
func TestMergeNamesWhatFailed(t *testing.T) {
	all := report.Result{Rows: []report.Row{{Key: "login.cpu", Samples: []float64{3}}, {Key: "login.lone"}}}
	all.Merge(report.Result{Rows: []report.Row{{Key: "login", Missing: "it failed"}}})
	if len(all.Rows) != 1 || all.Rows[0].Verdict() != report.Unmeasured {
		t.Errorf("%+v", all.Rows)
	}
}

func TestMergeSaysNothingOfTheSameDayAndVersion(t *testing.T) {
	all := report.Result{When: "d", Version: "v", Rows: []report.Row{{Key: "a.b"}}}
	all.Merge(report.Result{When: "d", Version: "v", Rows: []report.Row{{Key: "c.d"}}})
	if len(all.Rows) != 2 || all.Rows[0].When != "" || all.Rows[0].Version != "" {
		t.Errorf("%+v", all.Rows)
	}
}

func TestMergeDropsWhatAnotherMachineMeasured(t *testing.T) {
	all := report.Result{Machine: "this", Rows: []report.Row{{Key: "a.b"}}}
	all.Merge(report.Result{Machine: "that", Rows: []report.Row{{Key: "c.d"}}})
	if len(all.Rows) != 1 || all.Rows[0].Key != "c.d" {
		t.Errorf("%+v", all.Rows)
	}
}

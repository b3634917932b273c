package trace_test

import (
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/trace"
)

const (
	id     = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent = "00f067aa0ba902b7"
	valid  = "00-" + id + "-" + parent + "-01"
)

// Trace Context 3.2.2 and 4.3: what is not valid is ignored.
func TestTraceparentThatIsNotValidIsNoTrace(t *testing.T) {
	for _, bad := range []string{
		"", "-", id, "00-" + id + "-" + parent, valid + "-", valid + "-00", valid + " ", " " + valid,
		"ff-" + id + "-" + parent + "-01", "0x-" + id + "-" + parent + "-01", "01-" + id + "-" + parent + "-01x",
		"00-" + strings.ToUpper(id) + "-" + parent + "-01", "00-" + strings.Repeat("0", 32) + "-" + parent + "-01",
		"00-" + id + "-" + strings.Repeat("0", 16) + "-01", "00-" + id + "-" + strings.ToUpper(parent) + "-01",
		"00-" + id + "-" + parent + "-0G", "00-" + id + "-" + parent + "-0A", "00_" + id + "_" + parent + "_01", strings.Repeat("0", 55),
		"00-4bf92f3577b34da6a3ce929d0e0e473\n-" + parent + "-01",
	} {
		if got := trace.Parse([]string{bad}, nil); got != (trace.Context{}) || got.ID() != "" {
			t.Errorf("%q: %+v", bad, got)
		}
	}
	for _, several := range [][]string{nil, {valid, valid}} {
		if got := trace.Parse(several, nil); got != (trace.Context{}) {
			t.Errorf("%d headers: %+v", len(several), got)
		}
	}
}

// Trace Context 3.4: the trace id and the parent are passed on.
func TestTraceparentIsPassedOn(t *testing.T) {
	for in, want := range map[string]string{
		valid:                                valid,
		"00-" + id + "-" + parent + "-00":    "00-" + id + "-" + parent + "-00",
		"00-" + id + "-" + parent + "-fe":    "00-" + id + "-" + parent + "-02", // 3.2.2.5: unknown flags are zero
		"01-" + id + "-" + parent + "-01":    valid,                             // 3.2.4: as version 00
		"cc-" + id + "-" + parent + "-01-ab": valid,
	} {
		if got := trace.Parse([]string{in}, nil); got.Parent != want || got.ID() != id {
			t.Errorf("%s: %+v", in, got)
		}
	}
}

// Trace Context 3.3.
func TestTracestateIsPassedOnWithAValidParentOnly(t *testing.T) {
	many := strings.Repeat("a=1,", 32)
	long := strings.Repeat("a", 256)
	for in, want := range map[string]string{
		long + "=1":       long + "=1",
		long + "a=1":      "",
		"a=" + long:       "a=" + long,
		"a=" + long + "a": "",
		"":                "",
		"rojo=00f067":     "rojo=00f067",
		"a=1, b@c=2,,":    "a=1, b@c=2,,",
		"a=1 ,b=x y":      "a=1 ,b=x y",
		"A=1":             "",
		"a":               "",
		"a=1,b=\x00":      "",
		"a=1\r\nEvil: b":  "",
		many:              many,
		many + "a=1":      "",
		"a=" + strings.Repeat("1", 256) + ",b=" + strings.Repeat("1", 256): "",
	} {
		if got := trace.Parse([]string{valid}, []string{in}); got.State != want {
			t.Errorf("%q: %q", in, got.State)
		}
		if got := trace.Parse([]string{"00-0-0-01"}, []string{in}); got.State != "" {
			t.Errorf("%q without a parent: %q", in, got.State)
		}
	}
	if got := trace.Parse([]string{valid}, []string{"a=1", "b=2"}); got.State != "a=1,b=2" {
		t.Errorf("two headers: %q", got.State)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(valid, "a=1")
	f.Fuzz(func(t *testing.T, traceparent, tracestate string) {
		c := trace.Parse([]string{traceparent}, []string{tracestate})
		if c.Parent != "" && trace.Parse([]string{c.Parent}, []string{c.State}) != c {
			t.Errorf("%+v is not passed on as it is", c)
		}
		if strings.ContainsAny(c.Parent+c.State, "\r\n\x00") {
			t.Errorf("%+v", c)
		}
	})
}

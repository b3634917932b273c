package config

import (
	"fmt"
	"strings"
)

// Fault is one thing that is wrong with the configuration.
type Fault struct {
	Key   string // dotted; empty: the file as a whole, or What says it
	Where string // file and line, or environment variable
	What  string // the rest of the sentence; never holds the value
}

// String is the sentence.
func (f Fault) String() string {
	switch {
	case f.Key == "" && f.Where == "":
		return f.What
	case f.Key == "":
		return f.Where + " " + f.What
	case f.Where == "":
		return f.Key + " " + f.What
	default:
		return fmt.Sprintf("%s (%s) %s", f.Key, f.Where, f.What)
	}
}

// Faults is everything that is wrong, as the error of Load.
type Faults []Fault

// Error is one sentence a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
)

// Bound is where a change has made something slower. It is looser than the aim
// by the noise of the machines that run the check.
type Bound struct {
	AtLeast   float64  `json:"at_least,omitempty"`  // 0: no such bound
	AtMost    float64  `json:"at_most,omitempty"`   // 0: no such bound
	Tolerance *float64 `json:"tolerance,omitempty"` // nil: that of all
}

// Bounds are the bounds of rows, by key.
type Bounds struct {
	Tolerance float64          `json:"tolerance"` // share by which a median may miss its bound
	Rows      map[string]Bound `json:"rows"`
}

// ReadBounds reads bench/bounds.json.
func ReadBounds(path string) (Bounds, error) {
	var b Bounds
	text, err := os.ReadFile(path)
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return b, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// Of are the bounds of some scenarios.
func (b Bounds) Of(scenarios []string) Bounds {
	rows := map[string]Bound{}
	for key, bound := range b.Rows {
		if slices.Contains(scenarios, Row{Key: key}.Scenario()) {
			rows[key] = bound
		}
	}
	return Bounds{Tolerance: b.Tolerance, Rows: rows}
}

// Broken returns the keys of the bounds that are broken, in order, and a
// sentence for each: the row's median is beyond it by more than the tolerance,
// the row has a round without a response, or was not measured.
func (b Bounds) Broken(rows []Row) (keys, sentences []string) {
	for _, key := range slices.Sorted(maps.Keys(b.Rows)) {
		bound := b.Rows[key]
		tolerance := b.Tolerance
		if bound.Tolerance != nil {
			tolerance = *bound.Tolerance
		}
		row := Row{Key: key, Missing: "there is no such row"}
		if at := slices.IndexFunc(rows, func(r Row) bool { return r.Key == key }); at >= 0 {
			row = rows[at]
		}
		limit := Row{Unit: row.Unit, AtLeast: bound.AtLeast, AtMost: bound.AtMost}
		var sentence string
		switch row.Verdict() {
		case Unmeasured:
			sentence = fmt.Sprintf("%s: not measured: %s", key, row.Missing)
		case Failed:
			sentence = fmt.Sprintf("%s: %s: a round had no response", key, row.Path)
		default:
			if meets(row.Median(), bound.AtLeast*(1-tolerance), bound.AtMost*(1+tolerance)) {
				continue
			}
			sentence = fmt.Sprintf("%s: %s is %s, and must be %s (tolerance %.0f %%)", key, row.Path, row.Value(), limit.Aim(), 100*tolerance)
		}
		keys, sentences = append(keys, key), append(sentences, sentence)
	}
	return keys, sentences
}

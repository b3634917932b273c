package report

import (
	"encoding/json"
	"fmt"
	"os"
)

// Bound is where a change has made something slower. It is looser than the aim
// by the noise of the machines that run the check.
type Bound struct {
	AtLeast float64 `json:"at_least,omitempty"` // 0: no such bound
	AtMost  float64 `json:"at_most,omitempty"`  // 0: no such bound
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

// Broken returns a sentence for each row whose median is beyond its bound by
// more than the tolerance. Rows that were not measured break nothing.
func (b Bounds) Broken(rows []Row) []string {
	var sentences []string
	for _, row := range rows {
		bound, bounded := b.Rows[row.Key]
		if !bounded || len(row.Samples) == 0 {
			continue
		}
		m := row.Median()
		if !meets(m, bound.AtLeast*(1-b.Tolerance), bound.AtMost*(1+b.Tolerance)) {
			limit := Row{Unit: row.Unit, AtLeast: bound.AtLeast, AtMost: bound.AtMost}
			sentences = append(sentences, fmt.Sprintf("%s: %s is %s, and must be %s (tolerance %.0f %%)",
				row.Key, row.Path, row.Value(), limit.Aim(), 100*b.Tolerance))
		}
	}
	return sentences
}

// Package report holds what the bench has measured and shows it: as a table of
// ratios, as charts, as the part of docs/performance.md that is generated, and
// against the bounds below which a change has made something slower.
//
// It owns the judgement of a measurement and its presentation; it measures
// nothing itself. The bench calls it.
package report

// Command bench measures the program as its clients see it: it starts the real
// binary, drives it over real sockets, and prints ratios to limits that it
// measures in the same run, in turn with the program.
//
// It owns the scenarios and what each should reach; how load is made, what the
// limits are and how results are shown is in the folders below. Nothing imports
// it, and no test of the program depends on what it measures; make bench,
// bench-check and soak call it. docs/performance.md explains the table.
package main

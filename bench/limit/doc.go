// Package limit measures what no server can beat on this machine: the bare
// primitive on all cores, and net/http with nothing behind it. The scenarios of
// the bench call it in turn with the real program, so that both meet the same
// weather.
//
// It owns those loops and never touches the code of the program: its
// signatures are made by the libraries themselves.
package limit

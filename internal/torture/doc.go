// Package torture tests the program under failures: it is killed at random moments,
// its disk fills up, its database is locked, damaged, removed or temporarily
// unavailable, the network to the database is cut.
//
// It contains only tests, and no package imports it. They build the program, run it
// as a separate process, and send requests as clients do. They need Linux; the full
// disk needs root, the order of system calls needs strace. TORTURE_KILLS is the
// number of kills: see `make torture`.
package torture

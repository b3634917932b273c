// Package torture does to the program what happens to programs, and looks
// whether its promises hold: it is killed at random moments, its disk fills up,
// its database is locked, damaged, removed, or goes away and comes back, the
// network to it is cut.
//
// It owns nothing and nobody imports it. Its tests build the real program, run
// it as a process of its own, and talk to it as clients do. They need Linux; the
// full disk needs root, the order of system calls needs strace. How often the
// program is killed is in TORTURE_KILLS: see `make torture`.
package torture

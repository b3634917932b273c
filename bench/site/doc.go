// Package site runs the real program in a temporary folder: it starts and stops
// the process, asks the kernel what it uses, and fills its database with users
// and sessions without asking the program, since a million logins would take
// days.
//
// It owns processes, the seed and a PostgreSQL server beside; it sends no load
// and judges nothing. The scenarios of the bench call it.
package site

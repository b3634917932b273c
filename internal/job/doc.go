// Package job runs background work: functions that are called again and again
// while the server runs, such as the purge of expired rows.
//
// It owns when a job runs and on which replica, what happens when it fails or
// panics, how it ends with the server, and its counters. It does not know what a
// job does, and it never reaches the database: leases come from functions that
// it is given. The package server makes the jobs and calls Run; a flow that needs
// one offers a function to call.
package job

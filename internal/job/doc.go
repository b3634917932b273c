// Package job runs background work: functions that are called periodically while
// the server runs, such as the purge of expired rows.
//
// It owns when a job runs and on which replica, the handling of errors and
// panics, the end with the server, and the counters. It does not know what a job
// does, and it does not access the database: Config has the functions for leases.
// The package server declares the jobs and calls Run.
package job

// Package engine is what the packages of the store know of SQLite and
// PostgreSQL themselves: database.url, connections, the database file with its
// mode and its lock, consistent copies of it, the catalogue, and what the errors
// of the two drivers mean.
//
// It knows no table of this program and starts no transaction. Packages store,
// store/adopt and store/transfer call it; errors are of package fault.
package engine

// Package engine is what the packages of the store share about SQLite and
// PostgreSQL themselves: database.url, connections, the database file with its
// mode and its lock, consistent copies of it, the catalogue, and the meaning of the
// errors of the two drivers.
//
// It knows no table of this program and starts no transaction. Packages store,
// store/adopt and store/transfer call it; errors are of package fault.
package engine

// Package store owns the database: its schema and migrations, its connections
// and transactions, on SQLite and on PostgreSQL with the same statements. No other
// package runs SQL while the server serves.
//
// Exported methods are operations of the domain. Each is one transaction that also
// holds the permission check on freshly read users (the rules are package
// identity's) and the audit row. It does not hash, sign or decide what a valid
// name is. The packages above it (login, token, directory, keyring, audit) call
// it; errors are of package fault.
//
// What the engines have in common and what their errors mean is in package engine,
// below. Config.Adopt, package adopt, adopts a database of another program;
// package transfer checks, saves and copies whole databases. Both read the schema
// through Inspect and Tables.
package store

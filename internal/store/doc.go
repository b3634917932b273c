// Package store owns the database: its schema and migrations, its connections
// and transactions, on SQLite and on PostgreSQL with one text. No other package
// speaks SQL while the server serves.
//
// Exported methods are acts of the domain. Each is one transaction that also
// holds the permission check on freshly read people (the rules are package
// identity's) and the audit row. It does not hash, sign or decide what a valid
// name is. The packages above it (login, token, directory, keyring, audit) call
// it; errors are of package fault.
//
// What the engines have in common and what their errors mean is package engine,
// below. A database of another program is adopted by what Config.Adopt holds,
// package adopt; whole databases are checked, saved and copied by package
// transfer. Both read the schema through Inspect and Tables.
package store

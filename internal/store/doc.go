// Package store is the only room that speaks SQL. It owns the database: its
// file, its schema and migrations, its connections and transactions, on SQLite
// and on PostgreSQL with one text.
//
// Exported methods are acts of the domain. Each is one transaction that also
// holds the permission check on freshly read people (the rules are package
// identity's) and the audit row. It does not hash, sign or decide what a valid
// name is. The rooms above it (login, token, directory, keyring, audit) call
// it; errors are of package fault.
package store

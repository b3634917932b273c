// Package adopt turns a database of the Python server, versions 0.1 to 0.3, into
// one of this server, once: it recognises the tables, copies the file beside
// itself, and replaces the tables with ours in the transaction of the first
// migration. Whatever would be lost or mixed up is refused by name, and then
// nothing was changed.
//
// It does not open the database, keep other processes out or decide when a
// migration is due: package store does, and calls what New returns. The assembly
// puts that into store.Config; store/transfer asks Foresee what would happen.
package adopt

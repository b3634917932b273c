// Package adopt turns a database of the Python server, versions 0.1 to 0.3, into
// one of this server, once: it recognizes the tables, copies the file, and replaces
// the tables with ours in the transaction of the first migration. If anything would
// be lost or mixed up, it refuses, names the rows and changes nothing.
//
// Keys adopts the keys beside that database: the one that it signed with, and the one
// under which its later versions hashed tokens.
//
// It does not open the database, exclude other processes or decide when a
// migration is due: package store does, and calls what New returns. The assembly
// sets that in store.Config, and calls Keys before and after it opens the signing keys;
// store/transfer calls Foresee for a forecast.
package adopt

// Package datadir reads and writes the files of auth.data_dir that other users must
// not read: signing keys, the master key, the certificate that the server makes.
//
//	folder := datadir.New(dir, log)
//	data, err := folder.ReadPrivate(name) // reads, and changes nothing
//	writer, err := folder.Lock(ctx)       // excludes other processes until Close
//	err = writer.WritePrivate(name, data)
//
// A private file has its mode and its owner from its first instant, and is complete or
// missing. One that others may read, a symbolic link, or a file that is replaced while
// it is read is refused with a sentence for an operator. What is in a file is known to
// its callers only, except for the master key: keyring, store/adopt, server and cmd.
package datadir

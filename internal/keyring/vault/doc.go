// Package vault keeps the private halves of signing keys: in files of one folder,
// or in the rows of the keys, sealed under the master key.
//
//	folder := vault.NewFolder(dir, log)
//	secret, err := folder.Load(key)      // reads, and changes nothing
//	writer, err := folder.Lock(ctx)      // keeps other processes out until Close
//	err = writer.Save(row, private, false)
//
// In the folder the first key of an installation is a pair with the file names of the
// original server, and every later key is a private file named by its key ID. A private
// file is complete or missing, and no file is ever renamed. The status of a key is in
// the database only, and a file belongs to the key with its thumbprint, so a crash
// between a change of a row and one in the folder is harmless: Erase removes later what
// it left. A damaged file is an error and is never replaced.
//
// It also binds rows to their keys: by the thumbprint, and under the master key by
// a MAC. It knows neither the lifecycle of a key nor the database. keyring calls it.
package vault

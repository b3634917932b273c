// Package vault keeps the private halves of signing keys: in files of the data folder,
// or in the rows of the keys, sealed under the master key. It also binds rows to their
// keys: by the thumbprint, and under the master key by a MAC.
//
//	files := vault.Files{Folder: datadir.New(dir, log), Log: log}
//	secret, err := files.Load(key)             // reads, and changes nothing
//	files.Writer, err = files.Lock(ctx)        // excludes other processes until Close
//	err = files.Save(row, secret, false)
//
// The first key of an installation is a pair with the file names of the original server,
// and every later key is a private file named by its key ID. No file is ever renamed. A
// file belongs to the key with its thumbprint, so a crash between a change of a row and
// one in the folder is harmless: Erase removes later what it left. A damaged file is an
// error and is never replaced.
//
// It knows neither the lifecycle of a key nor the database. keyring and store/adopt call
// it.
package vault

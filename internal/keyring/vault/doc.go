// Package vault keeps the private halves of signing keys: in files of one folder,
// or in the rows of the keys, sealed under the master key.
//
//	folder := vault.NewFolder(dir, log)
//	secret, err := folder.Load(key)      // reads and changes nothing
//	writer, err := folder.Lock(ctx)      // keeps other processes out until Close
//	err = writer.Save(&row, private)
//
// In the folder the active pair of an algorithm has its known file names, those of
// the original server for what that knew; every other key lies in a file named by
// its id. A private file is complete or missing: its rename is the last step of
// making a pair. The database alone says which key is which, and a file counts for
// the key whose thumbprint it has, so a stop between a change of a row and one in
// the folder confuses nothing: Arrange does the rest later. What is found broken is
// refused with a sentence and never made again in silence.
//
// It also binds rows to their keys: by the thumbprint, and under the master key by
// a MAC. It knows neither the lifecycle of a key nor the database. keyring calls it.
package vault

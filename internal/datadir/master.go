package datadir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/seal"
)

// MasterFile is the file of the master key of an installation without
// auth.master_key. It seals everything except the signing keys, which are files then.
// Sealed data cannot be read without it, so every backup must contain it.
const MasterFile = "master.key"

// Master returns the master key in the folder, fs.ErrNotExist when there is none.
func (f *Folder) Master() (*seal.Master, error) {
	raw, err := f.ReadPrivate(MasterFile)
	if err != nil {
		return nil, err
	}
	master, err := seal.New(raw)
	if err != nil {
		return nil, fault.New(fault.Invalid, "key_file", fmt.Sprintf("%s cannot be used: it has %d bytes; restore it from a backup", f.Join(MasterFile), len(raw)))
	}
	return master, nil
}

// Master returns the master key in the folder and creates it when there is none. Call
// it to seal something for the first time, and Folder.Master when something is sealed
// already.
func (w *Writer) Master() (*seal.Master, error) {
	master, err := w.Folder.Master()
	if !errors.Is(err, fs.ErrNotExist) {
		return master, err
	}
	raw := make([]byte, seal.KeySize)
	_, _ = rand.Read(raw) // never fails
	if err := w.WritePrivate(MasterFile, raw); err != nil {
		return nil, err
	}
	w.log.Warn("created a master key; include it in every backup", "file", w.Join(MasterFile))
	return seal.New(raw)
}

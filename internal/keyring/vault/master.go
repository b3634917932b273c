package vault

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/seal"
)

// MasterFile is the file of the master key of an installation that has no
// auth.master_key. It seals whatever is sealed but the signing keys, which stay
// files then. Without it nothing of that can be read, so it belongs to a backup.
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

// Master returns the master key in the folder, which it makes when there is none:
// call it when something is sealed for the first time, and Folder.Master where
// something is sealed already.
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
	w.log.Warn("made a master key; it belongs to every backup", "file", w.Join(MasterFile))
	return seal.New(raw)
}

package datadir

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/pico-auth/pico-auth/internal/owner"
)

// WritePublic writes a file that everyone may read.
func (w *Writer) WritePublic(name string, data []byte) error { return w.write(name, data, publicMode) }

// WritePrivate writes a file that other users cannot read.
func (w *Writer) WritePrivate(name string, data []byte) error {
	return w.write(name, data, privateMode)
}

// KeepPublic writes a file that is derived from a private one if it is missing, or if
// other users may write it. A folder that cannot be written stays as it is.
func (w *Writer) KeepPublic(name string, data []byte) error {
	_, info, err := w.read(name)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !missing:
		return err
	case !w.Writable() || err == nil && !looser(info.Mode(), publicMode):
		return nil
	}
	if err := w.WritePublic(name, data); err != nil {
		return err
	}
	if missing {
		w.log.Info("derived a missing public key file", "file", w.Join(name))
	} else {
		w.log.Warn("tightened a public key file", "file", w.Join(name), "from", modeText(info.Mode()), "to", modeText(publicMode))
	}
	return nil
}

// write replaces one file atomically and durably. The file has its mode from its first
// instant, and its owner before it has its name.
func (w *Writer) write(name string, data []byte, mode fs.FileMode) error {
	if w.refused != nil {
		return w.refused
	}
	path, temporary := w.Join(name), w.Join(name+tempMark+strings.ToLower(rand.Text()))
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL|noFollow, mode)
	if err != nil {
		return fileFault(path, "cannot be written", err)
	}
	_, err = file.Write(data)
	err = errors.Join(err, owner.Give(file, w.path), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(fileFault(path, "cannot be written", err), os.Remove(temporary))
	}
	if err := syncFolder(w.path); err != nil {
		return folderFault(w.path, "cannot be synced to disk", err)
	}
	return nil
}

// Remove deletes a file durably. A missing file is no error.
func (w *Writer) Remove(name string) error {
	err := os.Remove(w.Join(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		w.log.Info("removed a key file", "file", w.Join(name))
		err = syncFolder(w.path)
	}
	if err != nil {
		return fileFault(w.Join(name), "cannot be removed", err)
	}
	return nil
}

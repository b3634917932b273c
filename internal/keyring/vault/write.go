package vault

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/owner"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Save writes the private half of a key that is not recorded yet into a file of its own.
// With first it writes a pair, where the next start finds it after a crash, and where
// the Python server looks for it, unless there is a private file.
func (w *Writer) Save(row store.SigningKey, key *jose.PrivateKey, first bool) error {
	files := FilesOf(key.Algorithm())
	secret, public, err := files.encode(key)
	if err != nil {
		return err
	}
	if !first || w.exists(files.Private) {
		return w.WritePrivate(files.own(row.KID), secret)
	}
	if w.exists(files.Public) {
		w.log.Warn("replaced a public key file without a private key file", "file", w.Join(files.Public))
	}
	if err := w.WritePublic(files.Public, public); err != nil {
		return err
	}
	return w.WritePrivate(files.Private, secret)
}

// Complete checks the public file beside the private one of an active key, if that is of
// a pair. It writes one that is missing, or that other users may write.
func (w *Writer) Complete(secret Secret) error {
	files := FilesOf(secret.Key.Algorithm())
	if secret.File != w.Join(files.Private) {
		return nil
	}
	path, missing := w.Join(files.Public), !w.exists(files.Public)
	var mode fs.FileMode
	if !missing {
		var err error
		if mode, err = w.compare(files, secret.Key); err != nil || !looser(mode, publicMode) {
			return err
		}
	}
	if !w.writable() {
		return nil // the private half suffices
	}
	_, public, err := files.encode(secret.Key)
	if err == nil {
		err = w.WritePublic(files.Public, public)
	}
	switch {
	case err != nil:
		return err
	case missing:
		w.log.Info("derived a missing public key file", "file", path)
	default:
		w.log.Warn("tightened a public key file", "file", path, "from", modeText(mode), "to", modeText(publicMode))
	}
	return nil
}

// Erase removes the files of removed keys. It may be interrupted and repeated, logs
// errors, and leaves files of unknown keys.
func (w *Writer) Erase(keys []Key) {
	if !w.writable() {
		return
	}
	removed := map[string]bool{} // by thumbprint
	var names []string
	for _, k := range keys {
		if k.Status == store.KeyRemoved {
			removed[k.PublicKey.Thumbprint()] = true
			names = append(names, FilesOf(k.PublicKey.Algorithm()).own(k.KID))
		}
	}
	if len(removed) == 0 {
		return
	}
	for _, algorithm := range jose.Algorithms() {
		files := FilesOf(algorithm)
		if pair, err := w.private(files, files.Private, ""); err == nil && removed[pair.Key.Public().Thumbprint()] {
			names = append(names, files.Public, files.Private)
		}
	}
	for _, name := range names {
		if err := w.remove(name); err != nil {
			w.log.Warn("could not erase the private half of a removed key", "error", err)
		}
	}
}

// remove deletes a file durably. A missing file is no error.
func (w *Writer) remove(name string) error {
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

// WritePublic writes a file that everyone may read.
func (w *Writer) WritePublic(name string, data []byte) error { return w.write(name, data, publicMode) }

// WritePrivate writes a file that other users cannot read.
func (w *Writer) WritePrivate(name string, data Bytes) error { return w.write(name, data, privateMode) }

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

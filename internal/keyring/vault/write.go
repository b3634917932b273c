package vault

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/pico-auth/pico-auth/internal/owner"
)

// writePair commits a pair: both halves are on the disk before either has its
// name, and the private one is named last.
func (w *Writer) writePair(files Files, secret, public []byte) error {
	if w.refused != nil {
		return w.refused
	}
	stagedSecret, err := w.stage(files.Private, secret, privateMode)
	if err != nil {
		return err
	}
	stagedPublic, err := w.stage(files.Public, public, publicMode)
	if err != nil {
		return errors.Join(err, os.Remove(stagedSecret))
	}
	if err := w.commit(stagedPublic, files.Public); err != nil {
		return errors.Join(err, os.Remove(stagedSecret))
	}
	return w.commit(stagedSecret, files.Private)
}

// write replaces one file atomically.
func (w *Writer) write(name string, data []byte, mode fs.FileMode) error {
	if w.refused != nil {
		return w.refused
	}
	staged, err := w.stage(name, data, mode)
	if err != nil {
		return err
	}
	return w.commit(staged, name)
}

// remove deletes a file durably. A missing file is no error.
func (w *Writer) remove(name string) error {
	if !w.exists(name) {
		return nil
	}
	if err := os.Remove(w.Join(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileFault(w.Join(name), "cannot be removed", err)
	}
	if err := syncFolder(w.path); err != nil {
		return folderFault(w.path, "cannot be synced to disk", err)
	}
	w.log.Info("removed a key file", "file", w.Join(name))
	return nil
}

// stage writes data under a temporary name and syncs it. The file has its mode
// from its first instant, and its owner before it has its name.
func (w *Writer) stage(name string, data []byte, mode fs.FileMode) (path string, err error) {
	path = w.Join(name + tempMark + strings.ToLower(rand.Text()))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|noFollow, mode)
	if err != nil {
		return "", fileFault(w.Join(name), "cannot be written", err)
	}
	_, err = file.Write(data)
	err = errors.Join(err, owner.Give(file, w.path), file.Sync(), file.Close())
	if err != nil {
		return "", errors.Join(fileFault(w.Join(name), "cannot be written", err), os.Remove(path))
	}
	return path, nil
}

func (w *Writer) commit(staged, name string) error {
	if err := os.Rename(staged, w.Join(name)); err != nil {
		return errors.Join(fileFault(w.Join(name), "cannot be written", err), os.Remove(staged))
	}
	if err := syncFolder(w.path); err != nil {
		return folderFault(w.path, "cannot be synced to disk", err)
	}
	return nil
}

// tighten restricts the mode of a public file, only of the file that was read: when
// run as root, a file that has replaced it may belong to another user.
func tighten(path string, read fs.FileInfo) error {
	file, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err == nil && !os.SameFile(read, info) {
		err = errors.New("it was replaced while it was being read")
	}
	if err != nil {
		return err
	}
	return file.Chmod(publicMode)
}

// WritePublic writes a file that everyone may read.
func (w *Writer) WritePublic(name string, data []byte) error { return w.write(name, data, publicMode) }

// WritePrivate writes a file that other users cannot read.
func (w *Writer) WritePrivate(name string, data Bytes) error { return w.write(name, data, privateMode) }

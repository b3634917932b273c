// Package owner keeps the files of an installation with the account that the server
// runs as when root runs a command, and describes the owner of a file to an operator
// whose account may not use it.
//
// It decides nothing about content and creates no files. Packages datadir, store/engine,
// store/adopt and store/transfer call it. On systems without numeric accounts it does
// nothing: access lists decide there.
package owner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// errShared refuses to change the owner of a file that has another name: the owner of
// a folder may have linked a file of root's into it.
var errShared = errors.New("it is not a regular file with one hard link")

// Give changes the owner of an open file to that of the file or folder at like when
// root runs the program. A file that is not regular, or has more than one hard link,
// is refused unless its owner is right already.
func Give(file *os.File, like string) error {
	info, err := os.Stat(like)
	if err != nil {
		return err
	}
	return give(file, info)
}

// GiveFile is Give for the file at path, which must not be a symbolic link. No process
// may have it open as a database: closing it would drop the locks of that process.
func GiveFile(path, like string) error {
	file, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return err
	}
	return errors.Join(Give(file, like), file.Close())
}

// MakeFolder is os.MkdirAll with new folders that belong to the owner of the one they
// are in. made are the new folders, the outermost first.
func MakeFolder(path string, mode fs.FileMode) (made []string, err error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil, nil
	case err == nil:
		return nil, &fs.PathError{Op: "mkdir", Path: path, Err: errors.New("not a folder")}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if made, err = MakeFolder(filepath.Dir(path), mode); err != nil {
		return made, err
	}
	if err := os.Mkdir(path, mode); errors.Is(err, fs.ErrExist) {
		return made, nil // another process was faster
	} else if err != nil {
		return made, err
	}
	return append(made, path), giveFolder(path, filepath.Dir(path))
}

// Remove removes folders that MakeFolder made, unless there is something in them.
func Remove(made []string) {
	for _, folder := range slices.Backward(made) {
		if os.Remove(folder) != nil {
			return
		}
	}
}

// MayCreate returns why this process may not create the file or folder at path, with the
// folders above it, as far as their modes tell.
func MayCreate(path string) error {
	for parent := filepath.Dir(path); ; parent = filepath.Dir(parent) {
		if _, err := os.Stat(parent); !errors.Is(err, fs.ErrNotExist) || parent == filepath.Dir(parent) {
			return MayWrite(parent)
		}
	}
}

// Denied describes, for an error about missing rights, the owner and the mode of the
// file at path, or of the folder above it that stands in the way, and the account of
// this process. It is empty for any other error.
func Denied(path string, err error) string {
	if !errors.Is(err, fs.ErrPermission) {
		return ""
	}
	return Describe(path)
}

// Describe is Denied without an error to judge.
func Describe(path string) string {
	info, err := os.Stat(path)
	for err != nil && filepath.Dir(path) != path {
		path = filepath.Dir(path)
		info, err = os.Stat(path)
	}
	if err != nil {
		return ""
	}
	holder, self := accounts(info)
	if holder == "" {
		return ""
	}
	return fmt.Sprintf("%s belongs to %s with mode %04o, and this process runs as %s", path, holder, info.Mode().Perm(), self)
}

//go:build unix

package owner

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// noFollow makes opening a symbolic link fail, and opening a pipe return.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

func give(file *os.File, like fs.FileInfo) error {
	to, known := like.Sys().(*syscall.Stat_t)
	if !known || os.Geteuid() != 0 {
		return nil // an account that may not change owners owns both already
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	has, known := info.Sys().(*syscall.Stat_t)
	if !known || has.Uid == to.Uid && has.Gid == to.Gid {
		return nil
	}
	if !info.Mode().IsRegular() || has.Nlink != 1 {
		return errShared
	}
	return file.Chown(int(to.Uid), int(to.Gid))
}

// giveFolder gives a new folder to the owner of its parent. It must be empty: the
// owner of the parent may have put another folder in its place.
func giveFolder(path, parent string) error {
	like, err := os.Stat(parent)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	to, known := like.Sys().(*syscall.Stat_t)
	if !known {
		return nil
	}
	folder, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|noFollow, 0)
	if err != nil {
		return err
	}
	names, _ := folder.Readdirnames(1) // io.EOF when it is empty
	if len(names) > 0 {
		return folder.Close()
	}
	return errors.Join(folder.Chown(int(to.Uid), int(to.Gid)), folder.Close())
}

// accounts names the owner of a file, and that of this process.
func accounts(info fs.FileInfo) (holder, self string) {
	has, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return "", ""
	}
	return named(has.Uid) + ":" + strconv.Itoa(int(has.Gid)), named(uint32(os.Geteuid())) //nolint:gosec // a number of an account
}

func named(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(number); err == nil {
		return u.Username + " (" + number + ")"
	}
	return "uid " + number
}

// MayWrite returns why this process may not write the file at path, or into the folder.
func MayWrite(path string) error {
	const write = 2 // W_OK
	if err := syscall.Access(path, write); err != nil {
		return &fs.PathError{Op: "access", Path: path, Err: err}
	}
	return nil
}

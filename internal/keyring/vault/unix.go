//go:build unix

package vault

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// noFollow makes opening a symbolic link fail, and opening a pipe return.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// permissionsMean says that a file's mode decides who may open it.
const permissionsMean = true

func readOnlyFilesystem(err error) bool { return errors.Is(err, syscall.EROFS) }

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// giveTo gives an open file to the owner of its folder: a command that is run as
// root must not take the keys away from the account the server runs as. A file
// that has another name, too, may be one that somebody linked here to be given it.
func giveTo(file *os.File, folder fs.FileInfo) error {
	owner, known := folder.Sys().(*syscall.Stat_t)
	if !known || os.Geteuid() != 0 {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	has, known := info.Sys().(*syscall.Stat_t)
	if !known || has.Uid == owner.Uid && has.Gid == owner.Gid {
		return nil
	}
	if !info.Mode().IsRegular() || has.Nlink != 1 {
		return errors.New("it is no regular file with one name")
	}
	return file.Chown(int(owner.Uid), int(owner.Gid))
}

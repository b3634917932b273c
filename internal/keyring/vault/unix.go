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

// permissionsMean says that the mode of a file decides which users may open it.
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

// giveTo changes the owner of an open file to that of its folder: after a command
// that is run as root the server's account must still be able to read the keys. A
// file with more than one hard link is refused: the owner of the folder may have
// linked a file of root's here.
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
		return errors.New("it is not a regular file with one hard link")
	}
	return file.Chown(int(owner.Uid), int(owner.Gid))
}

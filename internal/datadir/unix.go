//go:build unix

package datadir

import (
	"errors"
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

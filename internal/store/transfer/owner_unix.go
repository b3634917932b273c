//go:build unix

package transfer

import (
	"io/fs"
	"os"
	"syscall"
)

// giveTo gives the file at path to the owner of like: a restore as root must not
// take the database from the account that the server runs as. An account that may
// not change owners owns both files already.
func giveTo(path string, like fs.FileInfo) error {
	owner, ok := like.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(path, int(owner.Uid), int(owner.Gid))
}

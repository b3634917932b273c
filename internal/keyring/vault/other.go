//go:build !unix

package vault

import (
	"io/fs"
	"os"
)

// noFollow: the check before opening must do.
const noFollow = 0

// permissionsMean: here access lists decide, and a file inherits them from its
// folder, the user's profile by default.
const permissionsMean = false

func readOnlyFilesystem(error) bool { return false }

// syncFolder: a folder cannot be synced here; renaming is journalled.
func syncFolder(string) error { return nil }

// giveTo does nothing: files belong to whoever the folder's rules say.
func giveTo(*os.File, fs.FileInfo) error { return nil }

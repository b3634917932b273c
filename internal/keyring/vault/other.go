//go:build !unix

package vault

import (
	"io/fs"
	"os"
)

// noFollow has no equivalent here; only the check before opening applies.
const noFollow = 0

// permissionsMean is false: access lists decide, which a file inherits from its
// folder, by default the user's profile.
const permissionsMean = false

func readOnlyFilesystem(error) bool { return false }

// syncFolder does nothing: a folder cannot be synced here, and renames are journaled.
func syncFolder(string) error { return nil }

// giveTo does nothing: the access list of the folder decides about its files.
func giveTo(*os.File, fs.FileInfo) error { return nil }

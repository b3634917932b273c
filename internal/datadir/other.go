//go:build !unix

package datadir

// noFollow has no equivalent here; only the check before opening applies.
const noFollow = 0

// permissionsMean is false: access lists decide, which a file inherits from its
// folder, by default the user's profile.
const permissionsMean = false

func readOnlyFilesystem(error) bool { return false }

// syncFolder does nothing: a folder cannot be synced here, and renames are journaled.
func syncFolder(string) error { return nil }

//go:build !linux

package config

import "io/fs"

// onReadOnlyMount reports nothing: secrets are mounted on Linux.
func onReadOnlyMount(string) bool { return false }

// isOthers reports nothing: see onReadOnlyMount.
func isOthers(fs.FileInfo) bool { return false }

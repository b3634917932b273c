package config

import (
	"io/fs"
	"os"
	"syscall"
)

// onReadOnlyMount reports whether the file cannot be changed at this path, by root
// neither.
func onReadOnlyMount(path string) bool {
	const readOnly = 1 // ST_RDONLY of statvfs(3), of a bind mount too
	var at syscall.Statfs_t
	return syscall.Statfs(path, &at) == nil && at.Flags&readOnly != 0
}

// isOthers reports whether the file belongs to another account than ours.
func isOthers(info fs.FileInfo) bool {
	stat, known := info.Sys().(*syscall.Stat_t)
	return known && int(stat.Uid) != os.Geteuid()
}

package config

import (
	"io/fs"
	"os"
	"syscall"
)

// onReadOnlyMount reports whether the file cannot be changed at this path, by root
// neither, since another file system is mounted there: a hardened unit of systemd has
// that of the machine read-only, too, whose other users see the file.
func onReadOnlyMount(path string) bool {
	const readOnly = 1 // ST_RDONLY of statvfs(3), of a bind mount too
	var at syscall.Statfs_t
	var file, root syscall.Stat_t
	return syscall.Statfs(path, &at) == nil && at.Flags&readOnly != 0 &&
		syscall.Stat(path, &file) == nil && syscall.Stat("/", &root) == nil && file.Dev != root.Dev
}

// isOthers reports whether the file belongs to another account than ours.
func isOthers(info fs.FileInfo) bool {
	stat, known := info.Sys().(*syscall.Stat_t)
	return known && int(stat.Uid) != os.Geteuid()
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// copyDatabase writes a consistent copy of the open database beside its file,
// what is still in its write-ahead log included, and returns the copy's path.
// The copy has the name only once it is complete and on disk.
func copyDatabase(ctx context.Context, db *sql.DB, path string, now time.Time) (backup string, err error) {
	backup, err = freeName(path + ".backup-" + now.UTC().Format("20060102T150405Z"))
	if err != nil {
		return "", badBackup(backup, err)
	}
	partial := backup + ".partial-" + newID()
	if err := copyInto(ctx, db, partial); err != nil {
		return "", fmt.Errorf("copy the database before its adoption: %w", err)
	}
	defer os.Remove(partial) //nolint:errcheck // gone already where it could be renamed
	return backup, publish(partial, backup)
}

// freeName returns name, or name with a number where an attempt in the same
// second, cut off later, has left its copy.
func freeName(name string) (string, error) {
	candidate := name
	for n := 2; n < 100; n++ {
		_, err := os.Lstat(candidate)
		if errors.Is(err, fs.ErrNotExist) {
			return candidate, nil
		}
		if err != nil {
			return candidate, err
		}
		candidate = fmt.Sprintf("%s-%d", name, n)
	}
	return name, fs.ErrExist
}

package adopt

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/pico-auth/pico-auth/internal/owner"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// copyDatabase writes a copy of the open database to the same folder and returns
// the copy's path.
func copyDatabase(ctx context.Context, db *sql.DB, path string, now time.Time) (backup string, err error) {
	backup, err = freeName(path + ".backup-" + now.UTC().Format("20060102T150405Z"))
	if err != nil {
		return "", engine.BadFile(path, "cannot be copied before its adoption", err)
	}
	if err := engine.Snapshot(ctx, db, backup, locked); err != nil {
		return "", fmt.Errorf("copy the database before its adoption: %w", err)
	}
	if err := owner.GiveFile(backup, path); err != nil {
		return "", engine.BadFile(backup, "cannot be given to the owner of the database", err)
	}
	return backup, nil
}

// locked is true: the lock of migrations keeps other processes of this program out.
func locked() bool { return true }

// freeName returns name, or name with a number if an earlier attempt in the same
// second was interrupted and left its copy.
func freeName(name string) (string, error) {
	candidate := name
	for n := 2; n < 100; n++ {
		_, err := os.Lstat(candidate)
		if errors.Is(err, fs.ErrNotExist) {
			return candidate, nil
		}
		if err != nil {
			return "", err
		}
		candidate = fmt.Sprintf("%s-%d", name, n)
	}
	return "", fs.ErrExist
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// The exit code of a fault of the configuration stops a supervisor for good.
func TestAStateOfTheMachineIsNoFaultOfTheConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	unlock, err := LockFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, locked := LockFile(ctx, path)
	full := fmt.Errorf("write: %w", &fs.PathError{Op: "write", Path: path, Err: syscall.ENOSPC})
	for name, c := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"another process migrates":        {locked, fault.Unavailable},
		"a file cannot be made":           {BadFile(path, "cannot be created", full), fault.Unavailable},
		"a copy cannot be written":        {badBackup(path, full), fault.Unavailable},
		"SQLite's copy cannot be written": {badBackup(path, errDiskFull), fault.Unavailable},
		"no right":                        {BadFile(path, "cannot be read", fs.ErrPermission), fault.Invalid},
		"a read-only file system":         {BadFile(path, "cannot be created", syscall.EROFS), fault.Invalid},
		"no database":                     {BadFile(path, "is a folder", nil), fault.Invalid},
		"another failure of a copy":       {badBackup(path, errors.New("x")), fault.Invalid},
	} {
		if got := fault.KindOf(c.err); got != c.want {
			t.Errorf("%s: kind %d, want %d: %v", name, got, c.want, c.err)
		}
	}
}

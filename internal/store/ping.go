package store

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

var errReplaced = errors.New("the database file was replaced by another file; restore it and restart the server")

// Ping reports whether the database can be read and written. It detects a
// SQLite file that was removed, replaced or overwritten, and keeps reporting
// damage that was found before: damage is permanent.
func (s *Store) Ping(ctx context.Context) error {
	if text := s.damaged.Load(); text != nil {
		return engine.DamagedBy(errors.New(*text))
	}
	if s.writer != nil {
		if err := s.pingFile(ctx); err != nil {
			return s.classify(err)
		}
	}
	if s.failing.Load() {
		if err := s.write(ctx, pingDisk); err != nil {
			return err
		}
		s.failing.Store(false)
	}
	if s.writer == nil {
		return s.read(ctx, pingSchema)
	}
	// An empty transaction costs a lock and no sync, and fails when the writer would.
	return s.write(ctx, pingSchema)
}

// IsDamaged reports whether err, of any method, means that the database is damaged:
// a retry does not help.
func IsDamaged(err error) bool { return errors.Is(err, engine.ErrDamaged) }

// pingFile opens the file again: open connections continue to read a file that
// was removed, and pages in memory.
func (s *Store) pingFile(ctx context.Context) error {
	if err := s.inPlace(); err != nil {
		return err
	}
	db, err := engine.OpenFile(s.target.Path, "query_only(1)")
	if err != nil {
		return err
	}
	return errors.Join(pingSchema(s.newTx(ctx, db)), db.Close())
}

// inPlace reports whether the path still leads to the file that is open. It costs
// a microsecond.
func (s *Store) inPlace() error {
	info, err := os.Lstat(s.target.Path)
	if err == nil && !os.SameFile(info, s.file) {
		return engine.Unavailable(errReplaced)
	}
	return err
}

// pingDisk makes the engine write a page with the same content: a transaction
// that changes nothing succeeds on a full disk.
func pingDisk(t *tx) error {
	if _, err := t.exec("UPDATE settings SET value = value || '.' WHERE key = $1", settingGuard); err != nil {
		return err
	}
	_, err := t.exec("UPDATE settings SET value = substr(value, 1, length(value) - 1) WHERE key = $1", settingGuard)
	return err
}

// pingSchema reads the one row that every database has.
func pingSchema(t *tx) error {
	var value string
	found, err := t.get([]any{&value}, "SELECT value FROM settings WHERE key = $1", settingGuard)
	if err == nil && !found {
		return engine.Unavailable(fmt.Errorf("the setting %s is missing", settingGuard))
	}
	return err
}

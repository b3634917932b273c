package store

import (
	"context"
	"errors"
	"fmt"
	"os"
)

var errReplaced = errors.New("the database file is another one than the one opened")

// Ping reports whether the database can be read and written. It notices a
// SQLite file that was removed, replaced or overwritten under the server, and
// does not forget damage that was met before: that does not heal.
func (s *Store) Ping(ctx context.Context) error {
	if text := s.damaged.Load(); text != nil {
		return unavailable(errors.New(*text))
	}
	if s.writer == nil {
		return s.read(ctx, pingSchema)
	}
	if err := s.pingFile(ctx); err != nil {
		return s.classify(err)
	}
	// An empty act costs a lock and no sync, and fails where the writer does.
	return s.write(ctx, pingSchema)
}

// pingFile looks at the file with fresh eyes: connections that are open keep
// reading a file without a name, and pages they have in memory.
func (s *Store) pingFile(ctx context.Context) error {
	info, err := os.Lstat(s.target.path)
	if err != nil {
		return err
	}
	if !os.SameFile(info, s.file) {
		return unavailable(errReplaced)
	}
	db, err := openSQLite(s.target.path, "query_only(1)")
	if err != nil {
		return err
	}
	return errors.Join(pingSchema(s.newTx(ctx, db)), db.Close())
}

// pingSchema reads the one row that is always there.
func pingSchema(t *tx) error {
	var value string
	found, err := t.get([]any{&value}, "SELECT value FROM settings WHERE key = $1", settingGuard)
	if err == nil && !found {
		return unavailable(fmt.Errorf("the setting %s is gone", settingGuard))
	}
	return err
}

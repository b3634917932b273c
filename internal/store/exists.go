package store

import (
	"errors"
	"io/fs"
	"os"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// Exists reports whether the SQLite file of cfg.URL exists; a PostgreSQL
// database counts as existing. A command that only reads calls it first, since
// Open would create the file.
func Exists(cfg Config) (bool, error) {
	t, err := engine.Parse(cfg.URL)
	if err != nil || t.Engine != engine.SQLite {
		return err == nil, err
	}
	if _, err := os.Stat(t.Path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fault.Wrap(fault.Unavailable, "unavailable", "the database file cannot be examined", err)
	}
	return true, nil
}

// CheckFile returns why Open would refuse the SQLite file of cfg.URL, as far as it can be
// seen without opening it.
func CheckFile(cfg Config) error {
	t, err := engine.Parse(cfg.URL)
	if err != nil || t.Engine != engine.SQLite {
		return err
	}
	return engine.CheckFile(t.Path)
}

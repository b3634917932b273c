package transfer

import (
	"context"
	"errors"

	"github.com/pico-auth/pico-auth/internal/store/adopt"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// Original reports whether url names the SQLite file of a Python server that was not
// adopted yet. It changes nothing, and nothing is known of a file that cannot be read.
func Original(ctx context.Context, url string) bool {
	t, err := engine.Parse(url)
	if err != nil || t.Engine != engine.SQLite {
		return false
	}
	db, closeDB, err := engine.OpenUnchanged(t.Path)
	if err != nil {
		return false
	}
	known, err := adopt.Known(ctx, db, engine.SQLite)
	return errors.Join(err, closeDB()) == nil && known
}

// SameFile reports whether both URLs name one SQLite file.
func SameFile(url, other string) bool {
	a, err := engine.Parse(url)
	b, err2 := engine.Parse(other)
	return err == nil && err2 == nil && a.Engine == engine.SQLite && a.Path == b.Path && b.Engine == engine.SQLite
}

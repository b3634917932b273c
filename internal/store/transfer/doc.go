// Package transfer is what an operator does with a whole database: check it
// without a change, back it up while it is in use, restore it, and copy it from
// SQLite to PostgreSQL.
//
// It owns no table: package store defines the schema, and package adopt forecasts
// an adoption. Only the command line calls it; the serving process does not
// import it.
package transfer

import (
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
)

// clock is the clock of cfg.
func clock(cfg store.Config) func() time.Time {
	if cfg.Now == nil {
		return time.Now
	}
	return cfg.Now
}

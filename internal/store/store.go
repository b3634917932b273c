package store

import (
	"log/slog"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// Config says which database to open, and how.
type Config struct {
	// URL is any form of database.url: sqlite:///auth.db (relative to the
	// working folder), sqlite:////abs/path.db, sqlite+aiosqlite:///auth.db,
	// postgres://, postgresql://, postgresql+asyncpg://...?ssl=require.
	URL string

	Now  func() time.Time // nil: time.Now
	Log  *slog.Logger     // nil: nothing is logged
	Echo bool             // log the text of each statement, never its parameters

	// SessionMax is the absolute life given to the families of adopted refresh
	// tokens. 0: 90 days.
	SessionMax time.Duration

	// IsDefaultPassword is asked at adoption for each superadmin. nil: nobody
	// has the published default password.
	IsDefaultPassword func(identity.PasswordHash) bool
}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct{}

package store

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// Adopt examines a database that holds tables and none of ours, while the lock
// of migrations keeps every other process of this program out. It returns the
// function that makes the database ours, nil when it does not know the tables, and
// an error when it knows them and data would be lost.
//
// On SQLite it may open the file itself, which Open has neither written to nor
// switched to write-ahead mode yet.
type Adopt func(ctx context.Context, db Candidate) (Replace, error)

// Replace makes the tables of CreateSchema and fills them, replacing those of the
// other program. It runs in the transaction of the first migration: an error
// leaves the database as it was.
type Replace func(ctx context.Context, tx *sql.Tx) (Adoption, error)

// Candidate is a database that may be adopted.
type Candidate struct {
	engine.Target
	DB  *sql.DB
	Now func() time.Time
	Log *slog.Logger
}

// Adoption is what was adopted.
type Adoption struct {
	Backup  string // the copy made before; empty on PostgreSQL
	Dropped int    // memberships left out: of no user, in no group, or across organizations
}

// first returns the first migration: it makes the tables, or adopts the database.
// It refuses any other database.
func (s *Store) first(ctx context.Context, cfg Config, db *sql.DB, found Schema) (func(context.Context, *sql.Tx) error, error) {
	if cfg.Adopt != nil && found.Adoptable() {
		replace, err := cfg.Adopt(ctx, Candidate{Target: s.target, DB: db, Now: s.now, Log: s.log})
		if err != nil {
			return nil, err
		}
		if replace != nil {
			return func(ctx context.Context, tx *sql.Tx) error {
				done, err := replace(ctx, tx)
				s.adopted = &done
				return err
			}, nil
		}
	}
	return func(ctx context.Context, tx *sql.Tx) error { return CreateSchema(ctx, tx, s.now()) }, found.Refusal()
}

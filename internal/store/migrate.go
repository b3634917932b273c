package store

import (
	"context"
	"database/sql"
	_ "embed" // the schema
	"fmt"
	"log/slog"

	"github.com/pressly/goose/v3"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// schemaTarget is the version of the schema that this program works with.
const schemaTarget int64 = 4

// The migrations are one text for both engines.

//go:embed migrations/0001_schema.sql
var schema string

//go:embed migrations/0002_keys.sql
var schemaKeys string

//go:embed migrations/0003_key_life.sql
var schemaKeyLife string

//go:embed migrations/0004_key_ahead.sql
var schemaKeyAhead string

// schemaVersion returns the version of the schema with one cheap query, -1 when
// there is none of ours: no versions, or those of another program. It is what a
// start without a migration costs.
func schemaVersion(ctx context.Context, db querier) (int64, error) {
	var version sql.NullInt64
	err := db.QueryRowContext(ctx, "SELECT MAX(version_id) FROM "+versionTable+
		" WHERE is_applied AND NOT EXISTS (SELECT 1 FROM "+ourTable+" WHERE id = '')").Scan(&version)
	switch {
	case isNoTable(err), err == nil && !version.Valid:
		return -1, nil
	case err != nil:
		return 0, err
	default:
		return version.Int64, nil
	}
}

// migrate brings the schema to schemaTarget, or refuses to touch a database
// that is neither ours nor the original's, or newer than this program. Each
// migration is one transaction together with its entry in goose's table. Two
// processes never migrate at once: on SQLite the caller holds lockFile, on
// PostgreSQL the advisory lock migrationLock.
func (s *Store) migrate(ctx context.Context, cfg Config, db *sql.DB) error {
	opts := adoptOptions{
		postgres: s.target.engine == enginePostgres, path: s.target.path, now: s.now, log: s.log,
		sessionMax: cfg.SessionMax, isDefaultPassword: cfg.IsDefaultPassword,
		createSchema: func(ctx context.Context, tx *sql.Tx) error { return s.createSchema(ctx, tx) },
	}
	found, err := inspect(ctx, db, opts.postgres)
	if err != nil {
		return err
	}
	if err := found.refusal(schemaTarget); err != nil {
		return err
	}
	if found.state == stateOriginal {
		if opts.backup, err = prepareAdoption(ctx, db, opts); err != nil {
			return err
		}
	}
	provider, err := s.provider(db, opts)
	if err != nil {
		return fmt.Errorf("prepare the migration of the schema: %w", err)
	}
	done, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate the schema: %w", err)
	}
	for _, m := range done {
		s.log.Info("migrated the database", "version", m.Source.Version, "duration", m.Duration.String())
	}
	return nil
}

func (s *Store) provider(db *sql.DB, opts adoptOptions) (*goose.Provider, error) {
	options := []goose.ProviderOption{
		goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(slog.New(slog.DiscardHandler)), // we log what it did ourselves
		goose.WithGoMigrations(goose.NewGoMigration(1, &goose.GoFunc{
			RunTx: func(ctx context.Context, tx *sql.Tx) error { return s.createOrAdopt(ctx, tx, opts) },
		}, nil), migration(2, schemaKeys), migration(3, schemaKeyLife), migration(4, schemaKeyAhead)),
	}
	dialect := goose.DialectSQLite3
	if opts.postgres {
		dialect = goose.DialectPostgres
	}
	return goose.NewProvider(dialect, db, nil, options...)
}

// migration is one that only runs statements.
func migration(version int64, script string) *goose.Migration {
	return goose.NewGoMigration(version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, script)
		return err
	}}, nil)
}

// createOrAdopt is the first migration.
func (s *Store) createOrAdopt(ctx context.Context, tx *sql.Tx, opts adoptOptions) error {
	found, err := inspect(ctx, tx, opts.postgres)
	if err != nil {
		return err
	}
	if found.state != stateOriginal {
		return s.createSchema(ctx, tx)
	}
	done, err := adopt(ctx, tx, opts)
	if err != nil {
		return err
	}
	s.adopted, s.backup, s.dropped = true, done.backup, done.dropped
	return nil
}

// createSchema makes the tables, and the organisation of everybody who
// registers.
func (s *Store) createSchema(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return fmt.Errorf("create the tables: %w", err)
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO organizations (id, status, created_at) VALUES ($1, $2, $3)",
		identity.DefaultOrg, string(identity.Active), formatTime(s.now()))
	if err != nil {
		return fmt.Errorf("create the default organisation: %w", err)
	}
	return nil
}

package store

import (
	"context"
	"database/sql"
	_ "embed" // the schema
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// SchemaVersion is the version of the schema that this program works with.
const SchemaVersion int64 = 14

// The migrations are one text for both engines.

//go:embed migrations/0001_schema.sql
var schema string

//go:embed migrations/0002_keys.sql
var schemaKeys string

//go:embed migrations/0003_key_life.sql
var schemaKeyLife string

//go:embed migrations/0004_key_ahead.sql
var schemaKeyAhead string

//go:embed migrations/0005_sessions.sql
var schemaSessions string

//go:embed migrations/0006_key_algorithms.sql
var schemaKeyAlgorithms string

//go:embed migrations/0007_audit_actor.sql
var schemaAuditActor string

//go:embed migrations/0008_throttle.sql
var schemaThrottle string

//go:embed migrations/0009_refresh.sql
var schemaRefresh string

//go:embed migrations/0011_users.sql
var schemaUsers string

//go:embed migrations/0012_organizations.sql
var schemaOrganizations string

//go:embed migrations/0013_audit.sql
var schemaAuditChain string

//go:embed migrations/0014_provider.sql
var schemaProvider string

// schemaVersion returns the version of the schema with one cheap query, -1 when
// there is none of this program: no versions, or those of another program. It is
// the cost of a start without a migration.
func schemaVersion(ctx context.Context, db engine.Querier) (int64, error) {
	var version sql.NullInt64
	err := db.QueryRowContext(ctx, "SELECT MAX(version_id) FROM "+versionTable+
		" WHERE is_applied AND NOT EXISTS (SELECT 1 FROM "+ourTable+" WHERE id = '')").Scan(&version)
	switch {
	case engine.IsNoTable(err), err == nil && !version.Valid:
		return -1, nil
	case err != nil:
		return 0, err
	default:
		return version.Int64, nil
	}
}

// migrate brings the schema to SchemaVersion, or refuses a database that is newer
// than this program, or neither ours nor adoptable. Each migration is one
// transaction together with its entry in goose's table. Two processes never
// migrate concurrently: on SQLite the caller holds engine.LockFile, on PostgreSQL
// the advisory lock migrationLock.
func (s *Store) migrate(ctx context.Context, cfg Config, db *sql.DB) error {
	found, err := Inspect(ctx, db, s.target.Engine)
	if err != nil {
		return err
	}
	defer s.delayed(cfg, "database migration running", "from", found.Version, "to", SchemaVersion)() // an adoption reads and copies everything
	create, err := s.first(ctx, cfg, db, found)
	if err != nil {
		return err
	}
	if err := refuseCollisions(ctx, db, found); err != nil {
		return err
	}
	provider, err := s.provider(db, create)
	if err != nil {
		return fmt.Errorf("prepare the migration of the schema: %w", err)
	}
	done, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate the schema: %w", err)
	}
	for _, m := range done {
		s.log.Info("database migrated", "version", m.Source.Version, "duration", m.Duration.String())
	}
	return nil
}

// provider returns the migrations; create is the first.
func (s *Store) provider(db *sql.DB, create func(context.Context, *sql.Tx) error) (*goose.Provider, error) {
	options := []goose.ProviderOption{
		goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(slog.New(slog.DiscardHandler)), // migrate logs what was done
		goose.WithGoMigrations(goose.NewGoMigration(1, &goose.GoFunc{RunTx: create}, nil), migration(2, schemaKeys), migration(3, schemaKeyLife), migration(4, schemaKeyAhead),
			migration(5, schemaSessions), migration(6, schemaKeyAlgorithms), migration(7, schemaAuditActor), migration(8, schemaThrottle),
			migration(9, schemaRefresh), s.usersMigration(),
			migration(12, schemaOrganizations), s.stepwise(13, schemaAuditChain), migration(14, schemaProvider)),
	}
	dialect := goose.DialectSQLite3
	if s.target.Engine == engine.Postgres {
		dialect = goose.DialectPostgres
	}
	return goose.NewProvider(dialect, db, nil, options...)
}

// migration returns one that only runs statements.
func migration(version int64, script string) *goose.Migration {
	return goose.NewGoMigration(version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, script)
		return err
	}}, nil)
}

// stepwise returns a migration that PostgreSQL runs with a transaction for each
// statement, so that no lock is held longer than one of them needs: processes of the
// previous release write concurrently. A start after a crash repeats it, so its
// statements must allow that. SQLite has no other process, and one transaction.
func (s *Store) stepwise(version int64, script string) *goose.Migration {
	if s.target.Engine != engine.Postgres {
		return migration(version, script)
	}
	return goose.NewGoMigration(version, &goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
		script := strings.ReplaceAll(script, "ADD COLUMN ", "ADD COLUMN IF NOT EXISTS ") // SQLite has no such form
		for statement := range strings.SplitSeq(script, ";\n") {
			if err := inOne(ctx, db, statement); err != nil {
				return err
			}
		}
		return nil
	}}, nil)
}

// inOne runs the statement in a transaction, whose bounds are set behind a pooler, too.
func inOne(ctx context.Context, db *sql.DB, statement string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, statement); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// CreateSchema makes the tables as the first migration does, and the
// default organization.
func CreateSchema(ctx context.Context, tx *sql.Tx, now time.Time) error {
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return fmt.Errorf("create the tables: %w", err)
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO organizations (id, status, created_at) VALUES ($1, $2, $3)",
		identity.DefaultOrg, string(identity.Active), FormatTime(now))
	if err != nil {
		return fmt.Errorf("create the default organization: %w", err)
	}
	return nil
}

package transfer

import (
	"context"
	"database/sql"
	"errors"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/adopt"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// Superadmins reports whether a database, of this server or of the Python server, has
// superadmins, and the addresses of the active ones with the published default password.
// It changes nothing, and refuses a database that store.Open refuses, as far as its
// catalogue shows.
func Superadmins(ctx context.Context, cfg store.Config, isDefault func(identity.PasswordHash) bool) (exist bool, published []string, err error) {
	t, err := cfg.Target()
	if err != nil {
		return false, nil, err
	}
	var db *sql.DB
	var closeDB func() error
	if t.Engine == engine.Postgres {
		db = t.OpenServer()
		closeDB = db.Close
	} else if err := engine.CheckFile(t.Path); err != nil {
		return false, nil, err
	} else if db, closeDB, err = engine.OpenUnchanged(t.Path); errors.Is(err, engine.ErrNoDatabase) {
		return false, nil, nil
	} else if err != nil {
		return false, nil, err
	}
	if t.Engine == engine.Postgres {
		err = suitable(ctx, t, db)
	}
	if err == nil {
		exist, published, err = superadmins(ctx, db, t.Engine, isDefault)
	}
	return exist, published, errors.Join(t.Explain(err), closeDB())
}

// suitable refuses a database on a server that lacks what a start needs.
func suitable(ctx context.Context, t engine.Target, db *sql.DB) error {
	ours, versions := store.CheckedTables()
	missing, err := t.Unsuitable(ctx, db, ours, versions)
	if err != nil || len(missing) > 0 {
		return errors.Join(err, engine.NotSuitable(missing))
	}
	found, err := store.Inspect(ctx, db, t.Engine)
	if err != nil || found.Version >= store.SchemaVersion {
		return err
	}
	missing, err = t.Unmigratable(ctx, db, append(ours, versions...))
	return errors.Join(err, engine.NotSuitable(missing))
}

func superadmins(ctx context.Context, db *sql.DB, kind string, isDefault func(identity.PasswordHash) bool) (exist bool, published []string, err error) {
	found, err := store.Inspect(ctx, db, kind)
	if err != nil || found.Empty() {
		return false, nil, err
	}
	original, err := adopt.Known(ctx, db, kind)
	if err != nil {
		return false, nil, err
	}
	marked := "CASE WHEN default_password = 1 THEN '*' ELSE '' END" // it stands for a hash of the password
	if original {
		marked = "password_hash"
	} else if err := found.Refusal(); err != nil {
		return false, nil, err
	}
	rows, err := db.QueryContext(ctx, "SELECT email, status, "+marked+" FROM users WHERE role = 'superadmin' ORDER BY created_at, id")
	if err != nil {
		return false, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var email, status, hash string
		if err := rows.Scan(&email, &status, &hash); err != nil {
			return false, nil, err
		}
		exist = true
		if identity.Status(status) == identity.Active && (hash == "*" || original && isDefault(identity.PasswordHash(hash))) {
			published = append(published, email)
		}
	}
	return exist, published, rows.Err()
}

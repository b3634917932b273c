package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// adoptOptions is what an adoption needs besides the database. All of it is
// set, but for path and backup.
type adoptOptions struct {
	postgres          bool
	path              string // of the SQLite file; empty on PostgreSQL
	backup            string // the copy that prepareAdoption made; empty: none
	now               func() time.Time
	log               *slog.Logger
	sessionMax        time.Duration                    // life of an adopted refresh token's family
	isDefaultPassword func(identity.PasswordHash) bool // asked for superadmins
	createSchema      func(context.Context, *sql.Tx) error
}

// adoption is what was done.
type adoption struct {
	backup  string // the copy made before; empty on PostgreSQL
	dropped int    // memberships left out
}

// prepareAdoption looks through the whole database of the original and refuses
// it, by name, where anything would be lost or mixed up. It writes nothing to
// it. Then, on SQLite, it makes a copy beside it and returns its path.
func prepareAdoption(ctx context.Context, db *sql.DB, opts adoptOptions) (backup string, err error) {
	if !opts.postgres {
		own, err := openSQLite(opts.path) // as the Python server left it: no pragma changes its journal
		if err != nil {
			return "", fmt.Errorf("open %s: %w", opts.path, err)
		}
		defer own.Close()
		db = own
	}
	if _, _, err := readAdoptable(ctx, db, opts); err != nil {
		return "", err
	}
	if opts.postgres {
		opts.log.WarnContext(ctx, "the Python server's tables will be replaced in place; "+
			"on PostgreSQL no copy is made, the way back is a dump taken before with pg_dump")
		return "", nil
	}
	if backup, err = copyDatabase(ctx, db, opts.path, opts.now()); err != nil {
		return "", err
	}
	opts.log.InfoContext(ctx, "copied the Python server's database before adopting it", "database", opts.path, "backup", backup)
	return backup, nil
}

// readAdoptable reads and rewrites everything in memory, and refuses by name
// what cannot be adopted.
func readAdoptable(ctx context.Context, q querier, opts adoptOptions) (shape, adopted, error) {
	sh, err := inspect(ctx, q, opts.postgres)
	if err != nil {
		return shape{}, adopted{}, err
	}
	if sh.state != stateOriginal {
		return shape{}, adopted{}, fmt.Errorf("adopt: the database is %s", sh.state)
	}
	o, err := readOriginal(ctx, q, sh)
	if err != nil {
		return shape{}, adopted{}, err
	}
	rows := translate(o, opts.now(), opts.sessionMax)
	if faults := slices.Concat(sh.problems, rows.collisions, rows.problems); len(faults) > 0 {
		return shape{}, adopted{}, refuseAdoption(faults)
	}
	return sh, rows, nil
}

// maxListed bounds the sentences of one refusal; Check tells all of them.
const maxListed = 20

func refuseAdoption(faults []string) error {
	more := ""
	if len(faults) > maxListed {
		more = fmt.Sprintf("\n  and %d more", len(faults)-maxListed)
		faults = faults[:maxListed]
	}
	return fault.New(fault.Invalid, "cannot_adopt",
		"the Python server's database cannot be adopted as it is, and nothing in it was changed; "+
			"put this right with the Python server or in the database, then start again:\n  "+
			strings.Join(faults, "\n  ")+more)
}

// adopt replaces the original's tables with ours in one transaction, which is
// the caller's, and fills them. An error must be followed by a rollback; the
// database is then the Python server's as before, and the copy is gone again.
func adopt(ctx context.Context, tx *sql.Tx, opts adoptOptions) (done adoption, err error) {
	defer func() {
		if err != nil && opts.backup != "" {
			err = errors.Join(err, os.Remove(opts.backup))
		}
	}()
	if err := lockOriginal(ctx, tx, opts.postgres); err != nil {
		return adoption{}, err
	}
	sh, rows, err := readAdoptable(ctx, tx, opts)
	if err != nil {
		return adoption{}, err
	}
	for _, name := range sh.legacy {
		if _, err := tx.ExecContext(ctx, "DROP TABLE "+name); err != nil {
			return adoption{}, fmt.Errorf("replace the table %s of the Python server: %w", name, err)
		}
	}
	if err := opts.createSchema(ctx, tx); err != nil {
		return adoption{}, err
	}
	rows.markDefaultPasswords(opts.isDefaultPassword)
	if err := rows.insert(ctx, tx, opts.now()); err != nil {
		return adoption{}, err
	}
	rows.report(ctx, opts)
	return adoption{backup: opts.backup, dropped: len(rows.dropped)}, nil
}

// lockOriginal keeps a Python server that still runs from writing rows between
// their reading and the end.
func lockOriginal(ctx context.Context, tx *sql.Tx, postgres bool) error {
	query := "UPDATE users SET id = id WHERE 1 = 0" // takes SQLite's one lock for writing
	if postgres {
		sh, err := inspect(ctx, tx, postgres)
		if err != nil {
			return err
		}
		query = "LOCK TABLE " + strings.Join(sh.legacy, ", ") + " IN ACCESS EXCLUSIVE MODE"
	}
	if _, err := tx.ExecContext(ctx, query); err != nil {
		return fmt.Errorf("lock the tables of the Python server: %w", err)
	}
	return nil
}

// markDefaultPasswords asks about superadmins only: each answer costs a bcrypt.
func (a *adopted) markDefaultPasswords(isDefault func(identity.PasswordHash) bool) {
	for i := range a.users {
		if u := &a.users[i]; u.Role == identity.Superadmin {
			u.DefaultPassword = isDefault(u.PasswordHash)
		}
	}
}

// report logs what was done, and each thing that was left out by name.
func (a *adopted) report(ctx context.Context, opts adoptOptions) {
	for _, sentence := range a.dropped {
		opts.log.WarnContext(ctx, "adoption drops "+sentence)
	}
	for _, sentence := range a.warnings {
		opts.log.WarnContext(ctx, "adoption: "+sentence)
	}
	opts.log.InfoContext(ctx, "adopted the Python server's database",
		"users", len(a.users), "groups", len(a.groups), "memberships", len(a.members),
		"refresh_tokens", len(a.refreshTokens), "service_tokens", len(a.serviceTokens),
		"organizations", len(a.orgs), "dropped_memberships", len(a.dropped),
		"expired_refresh_tokens", a.expired, "ownerless_refresh_tokens", a.ownerless, "backup", opts.backup)
}

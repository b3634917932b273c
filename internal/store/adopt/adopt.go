package adopt

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// Config says what an adoption decides.
type Config struct {
	// SessionMax is the absolute lifetime given to the families of adopted
	// refresh tokens. 0: 90 days.
	SessionMax time.Duration

	// IsDefaultPassword is called for each superadmin. nil: no superadmin has
	// the published default password.
	IsDefaultPassword func(identity.PasswordHash) bool
}

// New returns the function for store.Config.Adopt. It knows the databases of the
// Python server 0.1 to 0.3.
func New(cfg Config) store.Adopt {
	if cfg.SessionMax == 0 {
		cfg.SessionMax = 90 * 24 * time.Hour
	}
	if cfg.IsDefaultPassword == nil {
		cfg.IsDefaultPassword = func(identity.PasswordHash) bool { return false }
	}
	return func(ctx context.Context, db store.Candidate) (store.Replace, error) {
		a := adoption{Config: cfg, Candidate: db, createSchema: store.CreateSchema}
		err := a.prepare(ctx)
		if errors.Is(err, errUnknown) {
			return nil, nil
		}
		return a.replace, err
	}
}

// adoption is the adoption of one database.
type adoption struct {
	Config
	store.Candidate
	backup       string // the copy that prepare made; empty: none
	createSchema func(context.Context, *sql.Tx, time.Time) error
}

// prepare examines the whole database of the original and refuses it, naming the
// rows, if anything would be lost or mixed up. It writes nothing to it. Then,
// on SQLite, it makes a copy in the same folder.
func (a *adoption) prepare(ctx context.Context) error {
	db := a.DB
	if a.Engine == engine.SQLite {
		own, err := engine.OpenFile(a.Path) // as the Python server left it: no pragma changes its journal
		if err != nil {
			return fmt.Errorf("open %s: %w", a.Path, err)
		}
		defer own.Close()
		db = own
	}
	if _, _, err := a.read(ctx, db); err != nil {
		return err
	}
	if a.Engine == engine.Postgres {
		a.Log.WarnContext(ctx, "the Python server's tables will be replaced in place; "+
			"on PostgreSQL no copy is made: only a dump made before with pg_dump can restore them")
		return nil
	}
	var err error
	if a.backup, err = copyDatabase(ctx, db, a.Path, a.Now()); err != nil {
		return err
	}
	a.Log.InfoContext(ctx, "Python server's database copied before its adoption", "database", a.Path, "backup", a.backup)
	return nil
}

// read reads and translates everything in memory, and refuses what cannot be
// adopted, naming it.
func (a *adoption) read(ctx context.Context, q engine.Querier) (shape, adopted, error) {
	sh, err := inspect(ctx, q, a.Engine)
	if err != nil {
		return shape{}, adopted{}, err
	}
	o, err := readOriginal(ctx, q, sh)
	if err != nil {
		return shape{}, adopted{}, err
	}
	rows := translate(o, a.Now(), a.SessionMax)
	if faults := slices.Concat(sh.problems, rows.collisions, rows.problems); len(faults) > 0 {
		return shape{}, adopted{}, refuse(faults, rows.resolving)
	}
	return sh, rows, nil
}

// maxListed limits the sentences of one refusal; `migrate --check` lists all of them.
const maxListed = 20

func refuse(faults, resolving []string) error {
	text := "the Python server's database cannot be adopted as it is, and nothing in it was changed; " +
		"correct this with the Python server or in the database, then start again:" + listed(faults)
	if len(resolving) > 0 {
		text += "\nthis SQL resolves the collisions: it renames all but the first of each, which may be deleted as well:" + listed(resolving)
	}
	return fault.New(fault.Invalid, "cannot_adopt", text)
}

// listed returns a line for each of the first lines.
func listed(lines []string) string {
	more := ""
	if len(lines) > maxListed {
		more = fmt.Sprintf("\n  and %d more; `pico-auth migrate --check` lists all", len(lines)-maxListed)
		lines = lines[:maxListed]
	}
	return "\n  " + strings.Join(lines, "\n  ") + more
}

// replace replaces the original's tables with ours in the caller's transaction,
// and fills them. An error must be followed by a rollback; the database is then
// unchanged, and the copy is deleted.
func (a *adoption) replace(ctx context.Context, tx *sql.Tx) (done store.Adoption, err error) {
	defer func() {
		if err != nil && a.backup != "" {
			err = errors.Join(err, os.Remove(a.backup))
		}
	}()
	if err := a.lock(ctx, tx); err != nil {
		return store.Adoption{}, err
	}
	sh, rows, err := a.read(ctx, tx)
	if err != nil {
		return store.Adoption{}, err
	}
	for _, name := range sh.legacy {
		if _, err := tx.ExecContext(ctx, "DROP TABLE "+name); err != nil {
			return store.Adoption{}, fmt.Errorf("replace the table %s of the Python server: %w", name, err)
		}
	}
	if err := a.createSchema(ctx, tx, a.Now()); err != nil {
		return store.Adoption{}, err
	}
	rows.markDefaultPasswords(a.IsDefaultPassword)
	if err := rows.insert(ctx, tx, a.Now()); err != nil {
		return store.Adoption{}, err
	}
	a.report(ctx, &rows)
	return store.Adoption{Backup: a.backup, Dropped: len(rows.dropped)}, nil
}

// lock keeps a Python server that still runs from writing rows after they were
// read.
func (a *adoption) lock(ctx context.Context, tx *sql.Tx) error {
	query := "UPDATE users SET id = id WHERE 1 = 0" // takes SQLite's one lock for writing
	if a.Engine == engine.Postgres {
		sh, err := inspect(ctx, tx, a.Engine)
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

// markDefaultPasswords checks superadmins only: each check costs a bcrypt.
func (a *adopted) markDefaultPasswords(isDefault func(identity.PasswordHash) bool) {
	for i := range a.users {
		if u := &a.users[i]; u.Role == identity.Superadmin {
			u.DefaultPassword = isDefault(u.PasswordHash)
		}
	}
}

func (a *adopted) activeServiceTokens() (n int) {
	for _, s := range a.serviceTokens {
		if s.RevokedAt.IsZero() {
			n++
		}
	}
	return n
}

// report logs what was done, and each row that was left out.
func (a *adoption) report(ctx context.Context, rows *adopted) {
	for _, sentence := range rows.dropped {
		a.Log.WarnContext(ctx, "adoption drops "+sentence)
	}
	for _, sentence := range rows.warnings {
		a.Log.WarnContext(ctx, "adoption: "+sentence)
	}
	a.Log.InfoContext(ctx, "Python server's database adopted",
		"users", len(rows.users), "groups", len(rows.groups), "memberships", len(rows.members),
		"refresh_tokens", len(rows.refreshTokens), "service_tokens", rows.activeServiceTokens(),
		"revoked_service_tokens", len(rows.serviceTokens)-rows.activeServiceTokens(),
		"organizations", len(rows.orgs), "dropped_memberships", len(rows.dropped),
		"expired_refresh_tokens", rows.expired, "ownerless_refresh_tokens", rows.ownerless, "backup", a.backup)
}

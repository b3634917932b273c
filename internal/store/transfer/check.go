package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/adopt"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// The states of a database.
const (
	stateEmpty    = "empty"    // no tables: they will be made
	stateCurrent  = "current"  // of this version
	stateBehind   = "behind"   // of an earlier version: will be migrated
	stateNewer    = "newer"    // of a later version
	stateOriginal = "original" // the Python server's: will be adopted
	stateForeign  = "foreign"  // of another program: left unchanged
	stateDamaged  = "damaged"  // a damaged file
	stateRefused  = "refused"  // PostgreSQL: lacks a property that the program needs
)

// Plan is what store.Open would do with a database, and what it would refuse.
type Plan struct {
	Engine  string // "sqlite" or "postgres"
	Path    string // of the file; empty on PostgreSQL
	State   string // "empty", "current", "behind", "original", "newer", "foreign", "refused"; "damaged" if the file is damaged
	Version int64  // the newest migration that was applied; 0: none
	Target  int64  // the newest migration that this program knows

	Users, Groups, Memberships   int // rows after the start
	RefreshTokens, ServiceTokens int // valid ones after the start

	DanglingMembers int      // memberships that would be dropped
	DroppedTokens   int      // refresh tokens that would be dropped: expired, or without a user who may sign in
	Dropped         []string // a sentence for each membership dropped
	Warnings        []string // oddities that would be kept
	Collisions      []string // rows that would become one row; Open refuses
	Resolving       []string // SQL that resolves the collisions
	Problems        []string // everything else that Open refuses, and damage
}

// OK reports whether Open would succeed, as far as a check can tell.
func (p Plan) OK() bool { return len(p.Collisions) == 0 && len(p.Problems) == 0 }

// Check returns what store.Open would do with the database, and does not change a
// byte of it. It verifies every page of a SQLite file, in time proportional to its
// size. A process that has the same SQLite file open in a Store must not call it:
// closing the file here would drop the Store's locks on it (fcntl(2)).
func Check(ctx context.Context, cfg store.Config) (Plan, error) {
	t, err := cfg.Target()
	if err != nil {
		return Plan{}, err
	}
	now := clock(cfg)()
	plan := Plan{Engine: t.Engine, Path: t.Path, Target: store.SchemaVersion}
	if t.Engine == engine.Postgres {
		db := t.OpenUnbounded()
		defer db.Close()
		err := plan.fillServer(ctx, t, db, now)
		return plan, t.Explain(err)
	}
	db, closeFile, err := engine.OpenUnchanged(t.Path)
	if errors.Is(err, engine.ErrNoDatabase) {
		plan.State = stateEmpty
		return plan, nil
	}
	if err != nil {
		return plan, err
	}
	err = errors.Join(plan.fill(ctx, db, now), closeFile())
	return plan, t.Explain(err)
}

// fillServer is fill for a database on a server, which may lack what the program needs.
func (p *Plan) fillServer(ctx context.Context, t engine.Target, db *sql.DB, now time.Time) (err error) {
	ours, versions := store.CheckedTables()
	if p.Problems, err = t.Unsuitable(ctx, db, ours, versions); err != nil {
		return err
	}
	if len(p.Problems) > 0 {
		p.State = stateRefused // what the catalogue shows depends on the rights
		return nil
	}
	if err := engine.TakesWrites(ctx, db); err != nil {
		return err
	}
	if err := p.fill(ctx, db, now); err != nil || p.Version == p.Target {
		return err
	}
	faults, err := t.Unmigratable(ctx, db, append(ours, versions...))
	p.Problems = append(p.Problems, faults...)
	return err
}

// fill examines one snapshot of the database.
func (p *Plan) fill(ctx context.Context, db *sql.DB, now time.Time) error {
	var opts *sql.TxOptions // on SQLite every transaction is a snapshot
	if p.Engine == engine.Postgres {
		opts = &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
	}
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	if p.Engine == engine.SQLite {
		if err := p.checkIntegrity(ctx, tx); err != nil || p.State == stateDamaged {
			return err
		}
	}
	found, err := store.Inspect(ctx, tx, p.Engine)
	if err != nil {
		return err
	}
	p.Version = found.Version
	if known, err := p.foresee(ctx, tx, now); err != nil || known {
		return err
	}
	if err := found.Refusal(); err != nil {
		p.Problems = append(p.Problems, err.Error())
	}
	switch {
	case found.Empty():
		p.State = stateEmpty
		return nil
	case !found.Ours():
		p.State = stateForeign
		return nil
	case found.Version > p.Target:
		p.State = stateNewer // its tables may differ
		return nil
	case found.Version < p.Target:
		p.State = stateBehind
	default:
		p.State = stateCurrent
		var lacking *fault.Error
		if err := store.CheckComplete(ctx, tx); errors.As(err, &lacking) {
			p.Problems = append(p.Problems, lacking.Message)
			return nil
		} else if err != nil {
			return err
		}
	}
	sentences, err := store.EmailCollisions(ctx, tx)
	if err != nil {
		return err
	}
	if found.Rekeys() {
		p.Collisions = sentences
	} else { // a process of the previous release stored one of them during an upgrade
		p.Warnings = sentences
	}
	return p.count(ctx, tx, now)
}

// checkIntegrity verifies every page and index of a SQLite file.
func (p *Plan) checkIntegrity(ctx context.Context, tx *sql.Tx) error {
	findings, err := engine.Names(ctx, tx, "PRAGMA integrity_check(20)")
	switch {
	case engine.ConditionOf(err) == engine.Damaged:
		p.State = stateDamaged
		p.Problems = append(p.Problems, "the file is not a SQLite database, or is damaged: "+err.Error())
		return nil
	case err != nil:
		return err
	case !slices.Equal(findings, []string{"ok"}):
		p.State = stateDamaged
		for _, finding := range findings {
			p.Problems = append(p.Problems, "the file is damaged: "+finding)
		}
	}
	return nil
}

// foresee adds the forecast of an adoption if the database can be adopted.
func (p *Plan) foresee(ctx context.Context, q engine.Querier, now time.Time) (known bool, err error) {
	f, known, err := adopt.Foresee(ctx, q, p.Engine, now)
	if err != nil || !known {
		return known, err
	}
	p.State = stateOriginal
	p.Users, p.Groups, p.Memberships = f.Users, f.Groups, f.Memberships
	p.RefreshTokens, p.ServiceTokens = f.RefreshTokens, f.ServiceTokens
	p.DanglingMembers, p.DroppedTokens = len(f.Dropped), f.DroppedTokens
	p.Resolving = f.Resolving
	p.Dropped, p.Warnings, p.Collisions, p.Problems = f.Dropped, f.Warnings, f.Collisions, f.Problems
	return true, nil
}

// count counts the rows of our own tables.
func (p *Plan) count(ctx context.Context, q engine.Querier, now time.Time) error {
	for _, c := range []struct {
		to    *int
		query string
		args  []any
	}{
		{&p.Users, "SELECT COUNT(*) FROM users", nil},
		{&p.Groups, "SELECT COUNT(*) FROM groups", nil},
		{&p.Memberships, "SELECT COUNT(*) FROM group_members", nil},
		{&p.RefreshTokens, `SELECT COUNT(*) FROM refresh_tokens t JOIN refresh_families f ON f.id = t.family_id
			WHERE t.used_at IS NULL AND f.ended_at IS NULL AND t.expires_at > $1`, []any{store.FormatTime(now)}},
		{&p.ServiceTokens, "SELECT COUNT(*) FROM service_tokens WHERE revoked_at IS NULL", nil},
	} {
		if err := q.QueryRowContext(ctx, c.query, c.args...).Scan(c.to); err != nil {
			return fmt.Errorf("count the rows: %w", err)
		}
	}
	return nil
}

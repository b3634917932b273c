package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// The states that Check tells apart where inspect says stateOurs.
const (
	stateCurrent = "current"
	stateBehind  = "behind"
	stateNewer   = "newer"
)

// Plan is what Open would do with a database, and what it would refuse.
type Plan struct {
	Engine  string // "sqlite" or "postgres"
	Path    string // of the file; empty on PostgreSQL
	State   string // "empty", "current", "behind", "original", "newer", "foreign"; "damaged" where the file is no sound database
	Version int64  // the newest migration that was applied; 0: none
	Target  int64  // the newest migration that this program knows

	Users, Groups, Memberships   int // rows that would be there afterwards
	RefreshTokens, ServiceTokens int // of those the ones that are valid

	DanglingMembers int      // memberships that would be dropped
	DroppedTokens   int      // refresh tokens that would be dropped: expired, or of nobody who may sign in
	Dropped         []string // a sentence for each membership dropped
	Warnings        []string // oddities that would be kept
	Collisions      []string // rows that would be one and the same; Open refuses
	Problems        []string // whatever else Open refuses, and damage
}

// OK reports whether Open would succeed, as far as can be told beforehand.
func (p Plan) OK() bool { return len(p.Collisions) == 0 && len(p.Problems) == 0 }

// stateDamaged is a file that cannot be trusted.
const stateDamaged = "damaged"

// Check tells what Open would do with the database, and changes not a byte of
// it. Of a SQLite file it verifies every page, in time proportional to its size.
// It is not for a process that has the same SQLite file open in a Store: closing
// the file here would drop the Store's locks on it (fcntl(2)).
func Check(ctx context.Context, cfg Config) (Plan, error) {
	cfg = cfg.withDefaults()
	t, err := parseURL(cfg.URL)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Engine: t.engine, Path: t.path, Target: schemaTarget}
	if t.engine == enginePostgres {
		db := openPostgres(migrationConfig(t.pg))
		defer db.Close()
		err := (&Store{target: t}).explainPostgres(plan.fill(ctx, db, cfg))
		return plan, err
	}
	db, closeFile, err := openUnchanged(t.path)
	if errors.Is(err, errNoDatabase) {
		plan.State = stateEmpty
		return plan, nil
	}
	if err != nil {
		return plan, err
	}
	err = errors.Join(plan.fill(ctx, db, cfg), closeFile())
	return plan, explainSQLite(t.path, err)
}

// fill judges one snapshot of the database.
func (p *Plan) fill(ctx context.Context, db *sql.DB, cfg Config) error {
	var opts *sql.TxOptions // on SQLite every transaction is a snapshot
	if p.Engine == enginePostgres {
		opts = &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
	}
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	if p.Engine == engineSQLite {
		if err := p.checkIntegrity(ctx, tx); err != nil || p.State == stateDamaged {
			return err
		}
	}
	sh, err := inspect(ctx, tx, p.Engine == enginePostgres)
	if err != nil {
		return err
	}
	p.State, p.Version = sh.state, sh.version
	if err := sh.refusal(p.Target); err != nil {
		p.Problems = append(p.Problems, err.Error())
	}
	switch {
	case sh.state == stateOriginal:
		return p.foresee(ctx, tx, sh, cfg)
	case sh.state != stateOurs:
		return nil
	case sh.version > p.Target:
		p.State = stateNewer // its tables may be others
		return nil
	case sh.version < p.Target:
		p.State = stateBehind
	default:
		p.State = stateCurrent
		var lacking *fault.Error
		if err := checkComplete(ctx, tx); errors.As(err, &lacking) {
			p.Problems = append(p.Problems, lacking.Message)
			return nil
		} else if err != nil {
			return err
		}
	}
	return p.count(ctx, tx, cfg.Now())
}

// checkIntegrity verifies every page and index of a SQLite file.
func (p *Plan) checkIntegrity(ctx context.Context, tx *sql.Tx) error {
	findings, err := catalogue{q: tx}.names(ctx, "PRAGMA integrity_check(20)")
	switch {
	case conditionOf(err) == damaged:
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

// foresee tells what an adoption would do.
func (p *Plan) foresee(ctx context.Context, q querier, sh shape, cfg Config) error {
	o, err := readOriginal(ctx, q, sh)
	if err != nil {
		return err
	}
	rows := translate(o, cfg.Now(), cfg.SessionMax)
	p.Users, p.Groups, p.Memberships = len(rows.users), len(rows.groups), len(rows.members)
	p.RefreshTokens = len(rows.refreshTokens)
	for _, s := range rows.serviceTokens {
		if s.RevokedAt.IsZero() {
			p.ServiceTokens++
		}
	}
	p.DanglingMembers, p.Dropped = len(rows.dropped), rows.dropped
	p.DroppedTokens = rows.expired + rows.ownerless
	p.Warnings = rows.warnings
	p.Collisions = rows.collisions
	p.Problems = append(p.Problems, slices.Concat(sh.problems, rows.problems)...)
	return nil
}

// count counts our own tables.
func (p *Plan) count(ctx context.Context, q querier, now time.Time) error {
	for _, c := range []struct {
		to    *int
		query string
		args  []any
	}{
		{&p.Users, "SELECT COUNT(*) FROM users", nil},
		{&p.Groups, "SELECT COUNT(*) FROM groups", nil},
		{&p.Memberships, "SELECT COUNT(*) FROM group_members", nil},
		{&p.RefreshTokens, `SELECT COUNT(*) FROM refresh_tokens t JOIN refresh_families f ON f.id = t.family_id
			WHERE t.used_at IS NULL AND f.ended_at IS NULL AND t.expires_at > $1`, []any{formatTime(now)}},
		{&p.ServiceTokens, "SELECT COUNT(*) FROM service_tokens WHERE revoked_at IS NULL", nil},
	} {
		if err := q.QueryRowContext(ctx, c.query, c.args...).Scan(c.to); err != nil {
			return fmt.Errorf("count the rows: %w", err)
		}
	}
	return nil
}

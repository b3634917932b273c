package store

import (
	"context"
	"time"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// ChainLease is the name of the lease of the chain of audit events. One of the running
// servers holds it.
const ChainLease = "audit_chain"

// Serving reports whether a server runs on the SQLite database, or did when it was
// killed a few seconds ago. A server that ends gives its lease back.
func Serving(ctx context.Context, q engine.Querier) (serving bool, err error) {
	err = q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM leases WHERE name = $1 AND expires_at > "+millisOfSQLite+")", ChainLease).Scan(&serving)
	return serving, err
}

// TakeLease makes holder the owner of the named work for the lifetime, or renews
// it. It reports false while another holder owns it. Only the database's clock
// counts, so the replicas' own clocks may differ.
func (s *Store) TakeLease(ctx context.Context, name, holder string, lifetime time.Duration) (held bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		now := s.databaseMillis()
		n, err := t.exec(`INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, `+now+` + $3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
			WHERE leases.holder = excluded.holder OR leases.expires_at <= `+now,
			name, holder, lifetime.Milliseconds())
		held = n == 1
		return err
	})
	return held && err == nil, err
}

// GiveLease ends the lease before it expires, if holder has it.
func (s *Store) GiveLease(ctx context.Context, name, holder string) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM leases WHERE name = $1 AND holder = $2", name, holder)
		return err
	})
}

// databaseMillis is the expression for the milliseconds since 1970 by the
// database's clock.
func (s *Store) databaseMillis() string {
	if s.target.Engine == engine.Postgres {
		return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
	}
	return millisOfSQLite
}

const millisOfSQLite = "CAST(unixepoch('subsec') * 1000 AS INTEGER)"

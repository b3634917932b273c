package store

import (
	"context"
	"database/sql"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// rotateInOne marks a token used and stores its successor in one statement, which
// needs PostgreSQL: it takes one round trip, and a statement is a transaction of
// its own. Of two concurrent statements the second waits for the row's lock and
// then finds the token used.
//
// The conditions are those of markUsed and succeed together. The status of user
// and organization is among them only so that a refused token is not marked used;
// identity.CanSignIn decides on what it returns whether the user may sign in. A
// family without a session is left to succeed.
const rotateInOne = `WITH marked AS (
		UPDATE refresh_tokens t SET used_at = $1, successor_id = $12, successor = $13
		FROM refresh_families f, users u, organizations o
		WHERE t.token_hash IN ($2, $3) AND t.used_at IS NULL AND t.expires_at > $1
			AND f.id = t.family_id AND f.user_id = t.user_id AND f.client_id = $9 AND f.ended_at IS NULL AND f.expires_at > $1
			AND f.session_id IS NOT NULL
			AND u.id = t.user_id AND u.status = 'active' AND o.id = u.org_id AND o.status = 'active'
		RETURNING t.user_id, t.family_id, f.session_id, f.expires_at AS family_end, ` + offlineFamily + ` AS offline
	), successor AS (
		INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, created_at, access_jti, access_expires_at, shared)
		SELECT $4, user_id, family_id, $5, LEAST($6, family_end), $1, $7, $8, $11::INTEGER FROM marked
	), used AS (
		UPDATE sessions SET last_used_at = $1, idle_expires_at = LEAST($6, family_end)
		FROM marked WHERE id = session_id AND last_used_at <= $10 AND NOT offline
	)
	SELECT ` + subjectColumns + `, s.family_id, s.session_id
	FROM marked s, ` + userTables + ` WHERE u.id = s.user_id`

// rotatePostgres tries to rotate in one statement. done is false when no row
// matches and nothing was changed: the caller finds the reason.
func (s *Store) rotatePostgres(ctx context.Context, p PresentedRefresh, next NewRefresh) (g Rotation, done bool, err error) {
	first, second, err := hashPair(p.Hashes)
	if err != nil {
		return Rotation{}, false, err
	}
	// Until there is a connection the request may still be cancelled. Later it may
	// not: a token marked used for a client that got no response looks stolen when
	// the client presents it again.
	conn, err := s.connection(ctx)
	if err != nil {
		return Rotation{}, false, err
	}
	defer conn.Close() //nolint:errcheck // back to the pool; a broken one is discarded there
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	t := s.newTx(work, s.wrap(conn))
	done, err = t.get(append(g.dest(), &g.FamilyID, &g.SessionID), rotateInOne, t.stamp(), first, second,
		next.ID, next.Hash, FormatTime(next.ExpiresAt),
		sql.NullString{String: next.AccessJTI, Valid: next.AccessJTI != ""}, FormatOptional(next.AccessExpiresAt),
		p.ClientID, FormatTime(t.now.Add(-lastUsedEvery)), oneIf(next.SharedHash != ""),
		sql.NullString{String: next.ID, Valid: next.Sealed != ""}, sql.NullString{String: next.Sealed, Valid: next.Sealed != ""})
	if err != nil || !done {
		return Rotation{}, false, err
	}
	s.count.committed(1)
	if !identity.CanSignIn(g.User) {
		return Rotation{}, true, identity.ErrInvalidToken
	}
	return g, true, nil
}

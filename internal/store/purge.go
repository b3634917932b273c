package store

import (
	"context"
	"sync"
	"time"
)

// auditWindow is how long expired and ended sessions stay, so that they can be
// investigated.
const auditWindow = 24 * time.Hour

// purged is how far purges have come.
type purged struct {
	mu       sync.Mutex
	to       string    // the last id of purgeUsed; empty: not started
	sessions time.Time // of the last purgeSessions that left nothing; zero: none did
}

// sessionsFrom is where the next purgeSessions begins: a day before the end of the last
// one, since tokens stay as long as their access tokens are valid.
func (p *purged) sessionsFrom() string {
	if p.sessions.IsZero() {
		return ""
	}
	return FormatTime(p.sessions.Add(-2 * auditWindow))
}

// defaultPurge limits how long a purge holds the writer to about 10 ms.
const defaultPurge = 200

// Purge removes refresh tokens that are no longer needed, at most batch of
// them (0: 200), then the families and sessions that became empty, and returns
// how many tokens it removed. The caller repeats it while there is more.
//
// A token is removed a day after it expired or its family ended, but never before the
// access token issued with it has expired for every verifier, since that might have to be
// listed as revoked. A used one that shares a part with its family is removed as soon
// as that: its reuse ends the family without it. So are those of what a limit of sessions
// or families ended: of these, a client that signs in without pause would leave too
// many. Other used ones stay as long as unused ones. Audit rows stay.
//
// accessLifetime is the longest that access tokens are valid; 0: 15 minutes.
func (s *Store) Purge(ctx context.Context, accessLifetime time.Duration, batch int) (n int, more bool, err error) {
	if batch <= 0 {
		batch = defaultPurge
	}
	if accessLifetime == 0 {
		accessLifetime = 15 * time.Minute
	}
	s.purged.mu.Lock()
	defer s.purged.mu.Unlock()
	var to string
	var sessions time.Time
	err = s.write(ctx, func(t *tx) error {
		to, sessions = s.purged.to, s.purged.sessions
		if n, err = t.purgeEnded(accessLifetime, batch); err != nil {
			return err
		}
		if more = n >= batch; more {
			return nil
		}
		if more, err = t.purgeSessions(s.purged.sessionsFrom(), batch); err != nil || more {
			return err
		}
		sessions = t.now
		if more, err = t.purgeAssertions(batch); err != nil || more {
			return err
		}
		if to == "" {
			to = idsBefore(t.now.Add(-auditWindow))
		}
		var used int
		used, to, more, err = t.purgeUsed(to, accessLifetime, batch)
		n += used
		return err
	})
	if err != nil {
		return 0, false, err
	}
	s.purged.to, s.purged.sessions = to, sessions
	return n, more, nil
}

// purgeEnded removes the tokens that expired, or whose family ended, a day ago, and
// those of what a limit ended.
func (t *tx) purgeEnded(accessLifetime time.Duration, batch int) (n int, err error) {
	for _, which := range []struct{ query, before string }{
		{"FROM refresh_tokens t WHERE t.expires_at < $1", t.longAgo()},
		{"FROM refresh_families f JOIN refresh_tokens t ON t.family_id = f.id WHERE f.ended_at < $1", t.longAgo()},
		{
			"FROM refresh_families f JOIN refresh_tokens t ON t.family_id = f.id WHERE f.end_reason = '" + string(EndLimit) + "' AND f.ended_at < $1",
			FormatTime(t.now.Add(-accessLifetime - verifierLeeway)),
		},
		{
			"FROM refresh_families f JOIN refresh_tokens t ON t.family_id = f.id WHERE f.end_reason = '" + string(EndFamilyLimit) + "' AND f.ended_at < $1",
			FormatTime(t.now.Add(-accessLifetime - verifierLeeway)),
		},
	} {
		removed, err := t.purgeTokens("SELECT t.id "+which.query+" AND (t.access_expires_at IS NULL OR t.access_expires_at < $2) LIMIT $3",
			which.before, t.verified(), batch-n)
		if n += removed; err != nil || n >= batch {
			return n, err
		}
	}
	return n, nil
}

// purgeUsed removes the used tokens of the families that issued tokens in a stretch of
// time whose access tokens have expired. The stretch begins after the id from and
// ends with the id to: no statement reads the tokens that are still valid. What a
// call leaves, since the clocks of two replicas differ or the process started later,
// goes when the family issues the next token, or expires.
func (t *tx) purgeUsed(from string, accessLifetime time.Duration, batch int) (n int, to string, more bool, err error) {
	issued, err := collect(t, scanText, "SELECT id FROM refresh_tokens WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3",
		from, idsBefore(t.now.Add(-accessLifetime-verifierLeeway-MaxReuseGrace)), batch)
	if err != nil || len(issued) == 0 {
		return 0, from, false, err
	}
	to = issued[len(issued)-1]
	removed, err := t.exec(`DELETE FROM refresh_tokens WHERE id IN (SELECT o.id FROM refresh_tokens o
		WHERE o.family_id IN (SELECT i.family_id FROM refresh_tokens i WHERE i.id > $1 AND i.id <= $2)
		AND o.shared = 1 AND o.used_at < $3 AND o.access_expires_at < $4 LIMIT $5)`,
		from, to, FormatTime(t.now.Add(-MaxReuseGrace)), t.verified(), batch)
	if n = int(removed); n >= batch {
		return n, from, true, err // there may be more in the same stretch
	}
	return n, to, len(issued) >= batch, err
}

// longAgo is before the time in which ended and expired sessions are kept.
func (t *tx) longAgo() string { return FormatTime(t.now.Add(-auditWindow)) }

// verified is the time since which no verifier accepts an access token that expired
// before it.
func (t *tx) verified() string { return FormatTime(t.now.Add(-verifierLeeway)) }

func scanText(r scanner) (text string, err error) {
	err = r.Scan(&text)
	return text, err
}

// purgeTokens deletes the tokens that the query selects, and then the families
// that have no token left.
func (t *tx) purgeTokens(which string, args ...any) (int, error) {
	families, err := collect(t, scanText, "DELETE FROM refresh_tokens WHERE id IN ("+which+") RETURNING family_id", args...)
	if err != nil {
		return 0, err
	}
	seen := make(map[string]bool, len(families))
	for _, id := range families {
		if seen[id] {
			continue
		}
		seen[id] = true
		if err := t.purgeFamily(id); err != nil {
			return 0, err
		}
	}
	return len(families), nil
}

// purgeFamily deletes a family that has no token left, and then its session if
// that has no other family. The session of a JSON login, which has the id of its
// first family, cannot be used any more; another one may. The last family that a client
// has of a session in a browser stays as long as the session: by it the client is told
// about the end.
func (t *tx) purgeFamily(id string) error {
	var session string
	deleted, err := t.get([]any{&session}, `DELETE FROM refresh_families WHERE id = $1
		AND NOT EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.family_id = refresh_families.id)
		AND (NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = refresh_families.session_id AND s.cookie_hash IS NOT NULL AND s.ended_at IS NULL)
			OR EXISTS (SELECT 1 FROM refresh_families o WHERE o.session_id = refresh_families.session_id
				AND o.client_id = refresh_families.client_id AND o.id <> refresh_families.id))
		RETURNING COALESCE(session_id, '')`, id)
	if err != nil || !deleted || session == "" {
		return err
	}
	_, err = t.exec(`DELETE FROM sessions WHERE id = $1 AND (ended_at IS NOT NULL OR idle_expires_at <= $2 OR id = $3)
		AND NOT EXISTS (SELECT 1 FROM refresh_families f WHERE f.session_id = sessions.id)`, session, t.stamp(), id)
	return err
}

// purgeSessions deletes sessions without a family that expired or, in a browser, ended a
// day ago. Before, it deletes the families that purgeFamily left to sessions that have
// ended since. more reports that there may be others.
//
// It looks at what ended since from alone: a session that has a family then is deleted
// with that, which may be months later, and must not be read by each purge until then.
func (t *tx) purgeSessions(from string, limit int) (more bool, err error) {
	for _, statement := range []string{
		`DELETE FROM refresh_families WHERE id IN (SELECT f.id FROM sessions s JOIN refresh_families f ON f.session_id = s.id
			WHERE s.ended_at < $1 AND s.ended_at >= $2 AND s.ended_at IS NOT NULL AND s.cookie_hash IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.family_id = f.id) ORDER BY s.ended_at LIMIT $3)`,
		`DELETE FROM sessions WHERE id IN (SELECT s.id FROM sessions s WHERE s.expires_at < $1 AND s.expires_at >= $2
			AND NOT EXISTS (SELECT 1 FROM refresh_families f WHERE f.session_id = s.id) ORDER BY s.expires_at LIMIT $3)`,
		// Those of browsers have no family at first, and may end long before they expire.
		`DELETE FROM sessions WHERE id IN (SELECT s.id FROM sessions s WHERE s.ended_at < $1 AND s.ended_at >= $2 AND s.ended_at IS NOT NULL
			AND s.cookie_hash IS NOT NULL AND NOT EXISTS (SELECT 1 FROM refresh_families f WHERE f.session_id = s.id) ORDER BY s.ended_at LIMIT $3)`,
	} {
		n, err := t.exec(statement, t.longAgo(), from, limit)
		if err != nil || n >= int64(limit) {
			return true, err
		}
	}
	return false, nil
}

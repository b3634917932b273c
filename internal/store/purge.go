package store

import (
	"context"
	"time"
)

// auditWindow is how long expired and ended sessions stay, so that they can be
// investigated.
const auditWindow = 24 * time.Hour

// defaultPurge limits how long a purge holds the writer to about 10 ms.
const defaultPurge = 200

// Purge removes refresh tokens that are no longer needed, at most batch of
// them (0: 200), then the families and sessions that became empty, and returns
// how many tokens it removed. The caller repeats it while it is a full batch.
//
// A token is removed a day after it expired or its family ended, but never before the
// access token issued with it has expired for every verifier, since that might have to be
// listed as revoked. A used one stays as long as an unused one: until then its
// reuse ends the family. Audit rows stay.
func (s *Store) Purge(ctx context.Context, batch int) (n int, err error) {
	if batch <= 0 {
		batch = defaultPurge
	}
	err = s.write(ctx, func(t *tx) error {
		expired, err := t.purgeTokens(`SELECT t.id FROM refresh_tokens t
			WHERE t.expires_at < $1 AND (t.access_expires_at IS NULL OR t.access_expires_at < $2)
			ORDER BY t.expires_at LIMIT $3`, batch)
		if err != nil {
			return err
		}
		n = expired
		if n >= batch {
			return nil
		}
		ended, err := t.purgeTokens(`SELECT t.id FROM refresh_families f JOIN refresh_tokens t ON t.family_id = f.id
			WHERE f.ended_at < $1 AND (t.access_expires_at IS NULL OR t.access_expires_at < $2)
			LIMIT $3`, batch-n)
		if err != nil {
			return err
		}
		n += ended
		return t.purgeSessions(batch)
	})
	return n, err
}

// purgeTokens deletes the tokens that the query selects, and then the families
// that have no token left.
func (t *tx) purgeTokens(which string, limit int) (int, error) {
	families, err := collect(t, func(r scanner) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	}, "DELETE FROM refresh_tokens WHERE id IN ("+which+") RETURNING family_id",
		FormatTime(t.now.Add(-auditWindow)), FormatTime(t.now.Add(-verifierLeeway)), limit)
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
// first family, cannot be used any more; another one may.
func (t *tx) purgeFamily(id string) error {
	var session string
	deleted, err := t.get([]any{&session}, `DELETE FROM refresh_families WHERE id = $1
		AND NOT EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.family_id = refresh_families.id) RETURNING COALESCE(session_id, '')`, id)
	if err != nil || !deleted || session == "" {
		return err
	}
	_, err = t.exec(`DELETE FROM sessions WHERE id = $1 AND (ended_at IS NOT NULL OR idle_expires_at <= $2 OR id = $3)
		AND NOT EXISTS (SELECT 1 FROM refresh_families f WHERE f.session_id = sessions.id)`, session, t.stamp(), id)
	return err
}

// purgeSessions deletes expired sessions without a family: those whose last
// family was purged before the session ended.
func (t *tx) purgeSessions(limit int) error {
	_, err := t.exec(`DELETE FROM sessions WHERE id IN (SELECT s.id FROM sessions s WHERE s.expires_at < $1
		AND NOT EXISTS (SELECT 1 FROM refresh_families f WHERE f.session_id = s.id) ORDER BY s.expires_at LIMIT $2)`,
		FormatTime(t.now.Add(-auditWindow)), limit)
	return err
}

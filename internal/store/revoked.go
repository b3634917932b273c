package store

import (
	"context"
	"time"
)

// verifierLeeway is how long after its exp a verifier may still accept a token.
const verifierLeeway = time.Minute

// RevokedJTIs lists the ids of access tokens that some verifier may still accept
// and that are revoked, since the family they came from ended.
func (s *Store) RevokedJTIs(ctx context.Context) (jtis []string, err error) {
	err = s.read(ctx, func(t *tx) error {
		jtis = []string{}
		return t.each(func(r scanner) error {
			var jti string
			var reason EndReason
			if err := r.Scan(&jti, (*string)(&reason)); err != nil {
				return err
			}
			if endings[reason].listed {
				jtis = append(jtis, jti)
			}
			return nil
		}, `SELECT t.access_jti, COALESCE(f.end_reason, '') FROM refresh_families f JOIN refresh_tokens t ON t.family_id = f.id
			WHERE f.ended_at IS NOT NULL AND t.access_jti IS NOT NULL AND t.access_expires_at > $1`, FormatTime(t.now.Add(-verifierLeeway)))
	})
	if err != nil {
		return nil, err
	}
	return jtis, nil
}

package store

import (
	"context"
)

// RevokeRefresh ends the family of a refresh token of the client, used or not (RFC 7009).
// An unknown one, and one of another client, is identity.ErrInvalidToken.
func (s *Store) RevokeRefresh(ctx context.Context, act Act, p PresentedRefresh) error {
	p.Permit = nil
	if err := s.examine(ctx, p); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		r, err := t.storedToken(p)
		if err != nil {
			return err
		}
		return t.revokeFamily(act, r.userID, r.familyID)
	})
}

// RevokeAccess ends the family that an access token of a client came from. It does
// nothing for one that came from none.
func (s *Store) RevokeAccess(ctx context.Context, act Act, c ClientToken) error {
	return s.write(ctx, func(t *tx) error {
		var family string
		found, err := t.get([]any{&family}, `SELECT f.id FROM refresh_tokens t JOIN refresh_families f ON f.id = t.family_id
			WHERE f.session_id = $1 AND f.user_id = $2 AND f.client_id = $3 AND t.id = $4 AND t.access_jti = $4`, c.SessionID, c.UserID, c.ClientID, c.ID)
		if err != nil || !found {
			return err
		}
		return t.revokeFamily(act, c.UserID, family)
	})
}

func (t *tx) revokeFamily(act Act, userID, familyID string) error {
	ended, err := t.end(EndTokenRevocation, subjects{userID: userID, familyID: familyID})
	if err != nil || !ended {
		return err
	}
	var org string
	if _, err := t.get([]any{&org}, "SELECT org_id FROM users WHERE id = $1", userID); err != nil {
		return err
	}
	act.By.OnBehalfOf, act.Detail = userID, "family "+familyID
	return t.done(act, userID, org)
}

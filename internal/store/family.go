package store

import (
	"context"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// A refresh family is a session: the chain of refresh tokens that began with
// one login. It ends once; a later end counts only when it revokes more of what
// is still out there.

// StartFamily begins a session of somebody whose password was verified against
// the hash verified, if that is still their hash and they may sign in, else it
// is ErrInvalidCredentials. No refresh token of the family outlives
// absoluteEnd; the last access token may, by its own life.
func (s *Store) StartFamily(ctx context.Context, act Act, userID string, verified identity.PasswordHash,
	familyID string, absoluteEnd time.Time, next NewRefresh,
) (g Grant, err error) {
	err = s.write(ctx, func(t *tx) error {
		g = Grant{FamilyID: familyID}
		n, err := t.exec("UPDATE users SET last_login_at = $1 WHERE id = $2 AND password_hash = $3", t.stamp(), userID, string(verified))
		if err != nil {
			return err
		}
		if n != 1 {
			return ErrInvalidCredentials
		}
		if g.User, err = t.user(userID, ""); err != nil {
			return err
		}
		if !identity.CanSignIn(g.User) {
			return ErrInvalidCredentials
		}
		_, err = t.exec("INSERT INTO refresh_families (id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
			familyID, userID, t.stamp(), formatTime(absoluteEnd))
		if err != nil {
			return err
		}
		if err := t.insertRefresh(userID, familyID, absoluteEnd, next); err != nil {
			return err
		}
		if g.Groups, err = t.groupIDs(userID); err != nil {
			return err
		}
		act.By = act.By.AsUser(userID)
		return t.done(act, userID, g.User.OrgID)
	})
	if err != nil {
		return Grant{}, err
	}
	return g, nil
}

// EndFamily ends a session of the actor's own. One that is over or not theirs
// is left as it is, without an error.
func (s *Store) EndFamily(ctx context.Context, act Act, familyID string) error {
	return s.write(ctx, func(t *tx) error {
		ended, err := t.endFamily(act.By.ID, familyID, identity.EndLogout)
		if err != nil || !ended {
			return err
		}
		return t.doneOwn(act)
	})
}

// EndFamilyByToken ends the session of a refresh token, spent or not, which is
// known by one of the hashes; an unknown one is ErrInvalidToken.
func (s *Store) EndFamilyByToken(ctx context.Context, act Act, hashes []string) (familyID string, err error) {
	err = s.write(ctx, func(t *tx) error {
		r, err := t.refreshByHash(hashes)
		if err != nil {
			return err
		}
		familyID = r.familyID
		ended, err := t.endFamily(r.userID, r.familyID, identity.EndLogout)
		if err != nil || !ended {
			return err
		}
		act.By = act.By.AsUser(r.userID)
		return t.doneOwn(act)
	})
	if err != nil {
		return "", err
	}
	return familyID, nil
}

// doneOwn writes the audit row of what somebody did to themselves.
func (t *tx) doneOwn(act Act) error {
	var org string
	if _, err := t.get([]any{&org}, "SELECT org_id FROM users WHERE id = $1", act.By.ID); err != nil {
		return err
	}
	return t.done(act, act.By.ID, org)
}

// endable is the condition on families that an end with a reason applies to:
// those alive, and those whose end left more in force than this one does. An
// own change spares the session's last access token and a change of role is
// enforced elsewhere only, so neither may shield a session from what follows.
func endable(reason identity.EndReason) string {
	switch reason {
	case identity.EndOwnChange:
		return "ended_at IS NULL"
	case identity.EndRoleChange:
		return "(ended_at IS NULL OR end_reason = '" + string(identity.EndOwnChange) + "')"
	default:
		return "(ended_at IS NULL OR end_reason IN ('" + string(identity.EndOwnChange) + "', '" + string(identity.EndRoleChange) + "'))"
	}
}

// endFamily ends one family of the person and reports whether that changed
// anything.
func (t *tx) endFamily(userID, familyID string, reason identity.EndReason) (ended bool, err error) {
	n, err := t.exec("UPDATE refresh_families SET ended_at = $1, end_reason = $2 WHERE id = $3 AND user_id = $4 AND "+endable(reason),
		t.stamp(), string(reason), familyID, userID)
	return n > 0, err
}

// endFamilies ends all families of the person but one; empty: all.
func (t *tx) endFamilies(userID, but string, reason identity.EndReason) error {
	_, err := t.exec("UPDATE refresh_families SET ended_at = $1, end_reason = $2 WHERE user_id = $3 AND id <> $4 AND "+endable(reason),
		t.stamp(), string(reason), userID, but)
	return err
}

// verifierLeeway is how long after its exp a verifier may still take a token.
const verifierLeeway = time.Minute

// RevokedJTIs lists the ids of access tokens that some verifier may still take
// and that are revoked, since the session they came from was ended.
func (s *Store) RevokedJTIs(ctx context.Context) (jtis []string, err error) {
	err = s.read(ctx, func(t *tx) error {
		jtis = []string{}
		return t.each(func(r scanner) error {
			var jti string
			var reason identity.EndReason
			if err := r.Scan(&jti, (*string)(&reason)); err != nil {
				return err
			}
			if reason.RevokesAccess() {
				jtis = append(jtis, jti)
			}
			return nil
		}, `SELECT t.access_jti, COALESCE(f.end_reason, '') FROM refresh_families f JOIN refresh_tokens t ON t.family_id = f.id
			WHERE f.ended_at IS NOT NULL AND t.access_jti IS NOT NULL AND t.access_expires_at > $1`, formatTime(t.now.Add(-verifierLeeway)))
	})
	if err != nil {
		return nil, err
	}
	return jtis, nil
}

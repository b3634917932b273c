package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// ErrReuse is in the chain of the refusal of a spent refresh token whose family
// was alive until then. To the client it looks like any other bad token.
var ErrReuse = errors.New("a spent refresh token came back; its family was ended")

// RotateRefresh spends the refresh token known by one of the hashes (the forms
// in which its secret may be stored) and stores its successor, which expires
// with the family at the latest. Of any number of calls with one token exactly
// one succeeds.
//
// A token that is unknown, expired, of an ended family or of somebody who may
// not sign in is ErrInvalidToken. So is a spent one, but that also ends its
// family, for good although an error is returned, and ErrReuse is in the chain.
func (s *Store) RotateRefresh(ctx context.Context, by identity.Actor, hashes []string, next NewRefresh) (g Grant, err error) {
	if s.writer == nil {
		// No row, a statement that lost to another transaction and one that was
		// never sent have changed nothing: the act below says why, or tries again.
		g, done, err := s.rotatePostgres(ctx, hashes, next)
		if done && err == nil {
			s.outbox.add([]Event{refreshed(by, g)})
			s.outbox.deliver()
			return g, nil
		}
		if err != nil && engine.ConditionOf(err) != engine.Conflict && !pgconn.SafeToRetry(err) && !errors.Is(err, driver.ErrBadConn) {
			return Grant{}, s.classify(err)
		}
	}
	err = s.write(ctx, func(t *tx) error {
		g, err = t.rotate(by, hashes, next)
		return err
	})
	if err != nil {
		return Grant{}, err
	}
	return g, nil
}

// rotate is RotateRefresh step by step.
func (t *tx) rotate(by identity.Actor, hashes []string, next NewRefresh) (Grant, error) {
	userID, familyID, spent, err := t.spend(hashes)
	if err != nil {
		return Grant{}, err
	}
	if !spent {
		return Grant{}, t.refuseRefresh(by, hashes)
	}
	g, err := t.succeed(userID, familyID, next)
	if err == nil {
		t.events = append(t.events, refreshed(by, g))
	}
	return g, err
}

// refreshed is told and not stored: refreshes are too many for the table.
func refreshed(by identity.Actor, g Grant) Event {
	act := Act{Action: identity.ActionRefresh, By: by.AsUser(g.User.ID), Detail: "family " + g.FamilyID}
	return act.Event(OutcomeSuccess, g.User.ID, g.User.OrgID)
}

// spend marks the token used if it is neither used nor expired. The condition
// and the mark are one statement: that is what makes it single use.
func (t *tx) spend(hashes []string) (userID, familyID string, spent bool, err error) {
	first, second, err := candidates(hashes)
	if err != nil {
		return "", "", false, err
	}
	spent, err = t.get([]any{&userID, &familyID}, `UPDATE refresh_tokens SET used_at = $1
		WHERE token_hash IN ($2, $3) AND used_at IS NULL AND expires_at > $1 RETURNING user_id, family_id`,
		t.stamp(), first, second)
	return userID, familyID, spent, err
}

// candidates are the one or two hashes that a secret may be stored under.
func candidates(hashes []string) (first, second string, err error) {
	switch len(hashes) {
	case 1:
		return hashes[0], hashes[0], nil
	case 2:
		return hashes[0], hashes[1], nil
	default:
		return "", "", errors.New("a token has one or two candidate hashes")
	}
}

// succeed stores the successor of a token that was just spent, if its family is
// alive and its owner may sign in; otherwise the token is not spent either.
func (t *tx) succeed(userID, familyID string, next NewRefresh) (Grant, error) {
	g := Grant{FamilyID: familyID}
	var end time.Time
	alive, err := t.get(append(userDest(&g.User), timeColumn{&end}), "SELECT "+userColumns+", f.expires_at FROM "+userTables+`
		JOIN refresh_families f ON f.user_id = u.id
		WHERE f.id = $1 AND u.id = $2 AND f.ended_at IS NULL AND f.expires_at > $3`, familyID, userID, t.stamp())
	if err != nil {
		return Grant{}, err
	}
	if !alive || !identity.CanSignIn(g.User) {
		return Grant{}, ErrInvalidToken
	}
	if err := t.insertRefresh(userID, familyID, end, next); err != nil {
		return Grant{}, err
	}
	g.Groups, err = t.groupIDs(userID)
	return g, err
}

// refuseRefresh finds out why a token could not be spent. Only the first reuse
// is written down: a family ends once, so nobody can fill the audit log with
// one spent token.
func (t *tx) refuseRefresh(by identity.Actor, hashes []string) error {
	r, err := t.refreshByHash(hashes)
	if err != nil {
		return err
	}
	if r.usedAt.IsZero() {
		return ErrInvalidToken // expired
	}
	n, err := t.exec("UPDATE refresh_families SET ended_at = $1, end_reason = $2 WHERE id = $3 AND ended_at IS NULL AND expires_at > $1",
		t.stamp(), string(identity.EndReuse), r.familyID)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrInvalidToken
	}
	var org string
	if _, err := t.get([]any{&org}, "SELECT org_id FROM users WHERE id = $1", r.userID); err != nil {
		return err
	}
	act := Act{Action: identity.ActionReuse, By: by, Detail: "family " + r.familyID}
	if err := t.audit(act.Event(OutcomeRefused, r.userID, org)); err != nil {
		return err
	}
	return kept{fault.Wrap(ErrInvalidToken.Kind, ErrInvalidToken.Code, ErrInvalidToken.Message, ErrReuse)}
}

// storedRefresh is what a refusal and a logout need to know of a token.
type storedRefresh struct {
	userID, familyID string
	usedAt           time.Time // zero: unspent
}

func (t *tx) refreshByHash(hashes []string) (r storedRefresh, err error) {
	first, second, err := candidates(hashes)
	if err != nil {
		return r, err
	}
	known, err := t.get([]any{&r.userID, &r.familyID, timeColumn{&r.usedAt}},
		"SELECT user_id, family_id, used_at FROM refresh_tokens WHERE token_hash IN ($1, $2)", first, second)
	if err == nil && !known {
		err = ErrInvalidToken
	}
	return r, err
}

// insertRefresh stores a token that expires with its family at the latest.
func (t *tx) insertRefresh(userID, familyID string, familyEnd time.Time, next NewRefresh) error {
	if next.ID == "" {
		next.ID = newID()
	}
	if next.ExpiresAt.After(familyEnd) {
		next.ExpiresAt = familyEnd
	}
	_, err := t.exec(`INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, created_at, access_jti, access_expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		next.ID, userID, familyID, next.Hash, formatTime(next.ExpiresAt), t.stamp(),
		sql.NullString{String: next.AccessJTI, Valid: next.AccessJTI != ""}, formatOptional(next.AccessExpiresAt))
	return err
}

// groupIDs returns the ids of the person's groups, sorted as bytes: the order
// that a database gives depends on its collation.
func (t *tx) groupIDs(userID string) ([]string, error) {
	ids, err := collect(t, func(r scanner) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	}, "SELECT group_id FROM group_members WHERE user_id = $1", userID)
	slices.Sort(ids)
	return ids, err
}

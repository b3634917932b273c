package store

import (
	"database/sql"
	"errors"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// ErrReuse is in the chain of the refusal of a used refresh token whose family
// had not ended before. To the client it looks like any other invalid token.
var ErrReuse = errors.New("a used refresh token was presented again; its family was ended")

// MaxReuseGrace is the longest reuse grace. Until it ends, a used token is kept
// with its successor.
const MaxReuseGrace = time.Minute

// Successor is what a used refresh token was exchanged for.
type Successor struct {
	ID              string // of its row
	Sealed          string // NewRefresh.Sealed
	IssuedAt        time.Time
	AccessJTI       string // of the access token issued with it
	AccessExpiresAt time.Time
}

// storedRefresh is what a refusal and a logout read of a token.
type storedRefresh struct {
	userID, familyID string
	sessionID        string // of a family without a session, its own id
	used             bool
	ended            bool // the family has ended or expired

	// Of a used token that is still stored.
	usedAt      time.Time
	successorID string // empty: it yields nothing again
	successor   string
}

// storedToken finds the token, or the family of a used one whose row was purged.
// identity.ErrInvalidToken means that the client never got it.
func (t *tx) storedToken(p PresentedRefresh) (r storedRefresh, err error) {
	first, second, err := hashPair(p.Hashes)
	if err != nil {
		return r, err
	}
	var successorID, successor sql.NullString
	known, err := t.get([]any{&r.userID, &r.familyID, &r.sessionID, &r.ended, timeColumn{&r.usedAt}, &successorID, &successor},
		`SELECT t.user_id, f.id, COALESCE(f.session_id, f.id), f.ended_at IS NOT NULL OR f.expires_at <= $4, t.used_at, t.successor_id, t.successor
		FROM refresh_tokens t JOIN refresh_families f ON f.id = t.family_id
		WHERE t.token_hash IN ($1, $2) AND f.client_id = $3`, first, second, p.ClientID, t.stamp())
	r.used, r.successorID, r.successor = !r.usedAt.IsZero(), successorID.String, successor.String
	if err == nil && !known && p.SharedHash != "" {
		r.used = true
		known, err = t.get([]any{&r.userID, &r.familyID, &r.sessionID, &r.ended},
			`SELECT f.user_id, f.id, COALESCE(f.session_id, f.id), f.ended_at IS NOT NULL OR f.expires_at <= $3
			FROM refresh_families f WHERE f.shared_hash = $1 AND f.client_id = $2`, p.SharedHash, p.ClientID, t.stamp())
	}
	if err == nil && !known {
		err = identity.ErrInvalidToken
	}
	return r, err
}

// notMarked decides about a token that could not be marked used: it was used
// before, or is not valid. Only the first reuse is written to the audit log: a
// family ends once, so a client cannot fill the log with one used token.
func (t *tx) notMarked(by identity.Actor, p PresentedRefresh) (Rotation, error) {
	r, err := t.storedToken(p)
	if err != nil {
		return Rotation{}, err
	}
	if !r.used || r.ended {
		return Rotation{}, identity.ErrInvalidToken // expired, or its family ended
	}
	if p.Grace > 0 && r.successorID != "" && t.now.Before(r.usedAt.Add(min(p.Grace, MaxReuseGrace))) {
		if again, unused, err := t.repeat(p, r); err != nil || unused {
			return again, err
		}
	}
	return Rotation{}, t.endReused(by, r)
}

// repeat returns the successor of a used token once more; unused is false when
// the successor was used, too.
//
// Nothing is written: still only one token of the family is unused.
func (t *tx) repeat(p PresentedRefresh, r storedRefresh) (again Rotation, unused bool, err error) {
	s := &Successor{ID: r.successorID, Sealed: r.successor}
	again = Rotation{Subject: Subject{FamilyID: r.familyID, SessionID: r.sessionID}, Repeated: s}
	var jti sql.NullString
	unused, err = t.get(append(again.dest(), timeColumn{&s.IssuedAt}, &jti, timeColumn{&s.AccessExpiresAt}),
		"SELECT "+subjectColumns+", t.created_at, t.access_jti, t.access_expires_at FROM "+userTables+`
		JOIN refresh_tokens t ON t.user_id = u.id
		WHERE t.id = $1 AND t.family_id = $2 AND t.used_at IS NULL AND t.expires_at > $3`, r.successorID, r.familyID, t.stamp())
	if err != nil || !unused {
		return Rotation{}, false, err
	}
	if p.Admit != nil {
		held, err := t.heldByClient(r.userID, r.familyID, p)
		if err != nil {
			return Rotation{}, false, err
		}
		again.Subject = held.Subject
	}
	if !identity.CanSignIn(again.User) {
		return Rotation{}, false, identity.ErrInvalidToken
	}
	s.AccessJTI = jti.String
	return again, true, nil
}

// endReused ends the family of a used token that was presented again.
func (t *tx) endReused(by identity.Actor, r storedRefresh) error {
	ended, err := t.end(EndReuse, subjects{userID: r.userID, familyID: r.familyID})
	if err != nil {
		return err
	}
	if !ended {
		return identity.ErrInvalidToken
	}
	var org string
	if _, err := t.get([]any{&org}, "SELECT org_id FROM users WHERE id = $1", r.userID); err != nil {
		return err
	}
	act := Act{Action: identity.ActionReuse, By: by, Detail: "family " + r.familyID}
	if err := t.audit(act.Event(OutcomeRefused, r.userID, org)); err != nil {
		return err
	}
	return kept{InvalidToken(ErrReuse)}
}

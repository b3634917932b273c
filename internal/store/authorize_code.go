package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// ErrNoCode refuses a code that is unknown, was used, or has expired.
var ErrNoCode = errors.New("the code is unknown, was used, or has expired")

// ErrCodeReuse is in the chain of the refusal of a code that was used before; what was
// issued for it has ended.
var ErrCodeReuse = errors.New("a code was used again; what was issued for it has ended")

// longestCode is the longest time until a code expires: its lifetime, and the difference
// of the clocks of two replicas.
const longestCode = 2 * time.Minute

// unusedCodes is the condition on the codes that the client, $1, has not exchanged, with
// the arguments of the method. Such a code is purged when it expires, and a used one an
// hour after its use, so the index of purge_at leads to those of the last minutes. The
// column code_hash is not asked about, for it has an index of all codes.
const unusedCodes = "client_id = $1 AND code_expires_at IS NOT NULL AND code_used_at IS NULL AND purge_at > $2 AND purge_at <= $3"

func (t *tx) unusedCodes(clientID string) []any {
	return []any{clientID, FormatTime(t.now.Add(-longestCode / 2)), FormatTime(t.now.Add(longestCode))}
}

// NewCode is a code to be stored.
type NewCode struct {
	Hash      string
	ExpiresAt time.Time // at most longestCode ahead

	// Ready decides in the transaction whether the code may be issued.
	Ready func(Authorization) error
}

// issued is what a code keeps of the moment when it was issued.
type issued struct {
	Decisions

	AuthTime time.Time `json:"auth_time"`
	Methods  []string  `json:"amr"`
	ACR      string    `json:"acr"`
}

// IssueCode gives an open request of the browser its code, once.
func (s *Store) IssueCode(ctx context.Context, act Act, ref AuthorizationRef, code NewCode) (a Authorization, err error) {
	err = s.write(ctx, func(t *tx) error {
		if a, err = t.authorization(ref, t.forUpdate); err != nil {
			return err
		}
		return t.issueCode(act, a, code, func(of string) error {
			n, err := t.exec(`UPDATE authorization_requests SET code_hash = $2, code_expires_at = $3, purge_at = $3, decided = $4, session_id = $5, request = $6
				WHERE `+openRequest+" AND id = $7", t.stamp(), code.Hash, FormatTime(code.ExpiresAt), of, a.SessionID, a.Request.OfCode().Encode(), a.ID)
			if err == nil && n != 1 {
				err = ErrNoAuthorization
			}
			return err
		})
	})
	return a, err
}

// IssueCodeAtOnce stores a request for which nothing is missing together with its code,
// and records the use of the session.
func (s *Store) IssueCodeAtOnce(ctx context.Context, act Act, n NewAuthorization, sessionID string, code NewCode) (a Authorization, err error) {
	err = s.write(ctx, func(t *tx) error {
		a = Authorization{ID: n.ID, Request: n.Request, CreatedAt: t.now}
		if err := t.completeAuthorization(&a, sessionID, t.forShare("u, c")+t.forUpdate("s")); err != nil {
			return err
		}
		return t.issueCode(act, a, code, func(of string) error {
			if err := t.usedInBrowser(a); err != nil {
				return err
			}
			_, err := t.exec(`INSERT INTO authorization_requests
				(id, client_id, request, decided, network, session_id, created_at, expires_at, purge_at, code_hash, code_expires_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $8)`, n.ID, n.Request.ClientID, n.Request.OfCode().Encode(), of, n.Network, a.SessionID,
				t.stamp(), FormatTime(code.ExpiresAt), code.Hash)
			return err
		})
	})
	return a, err
}

// usedInBrowser records the use of the session in a, as BrowserSession does.
func (t *tx) usedInBrowser(a Authorization) error {
	if t.now.Sub(a.lastUsed) < lastUsedEvery {
		return nil
	}
	idle, _ := t.browserTimes.ends(t.now, a.stay)
	return t.used(a.SessionID, earlier(idle, a.sessionEnd))
}

// issueCode asks whether the code may be issued, and stores it with put.
func (t *tx) issueCode(act Act, a Authorization, code NewCode, put func(issued string) error) error {
	if err := code.Ready(a); err != nil {
		return err
	}
	if a.SessionID == "" {
		return ErrNoAuthorization
	}
	if code.ExpiresAt.After(t.now.Add(longestCode)) {
		return errors.New("the code would outlive what ends codes")
	}
	a.Decided.SessionID = a.SessionID
	of, err := json.Marshal(issued{Decisions: a.Decided, AuthTime: a.AuthTime, Methods: a.Methods, ACR: a.ACR})
	if err != nil {
		return err
	}
	if err := put(string(of)); err != nil {
		return err
	}
	act.By, act.Detail = act.By.AsUser(a.User.ID), "session "+a.SessionID+", scope "+a.Request.Scope
	return t.done(act, a.Client.ID, a.User.OrgID)
}

// Code is a code with what was decided when it was issued.
type Code struct {
	Authorization        // without the user; the session is that of the code
	Used          bool   // it was used before
	FamilyID      string // of what was issued for it; empty: nothing
	Expires       time.Time
}

// Code returns the code of the hash, used and expired ones too; ErrNoCode when there is
// none.
func (s *Store) Code(ctx context.Context, hash string) (c Code, err error) {
	err = s.lookup(ctx, func(t *tx) error {
		c, err = t.code(hash)
		return err
	})
	return c, err
}

// code is Code in a transaction.
func (t *tx) code(hash string) (c Code, err error) {
	var request, decided string
	found, err := t.get([]any{&c.ID, &request, &decided, timeColumn{&c.CreatedAt}, &c.Used, &c.FamilyID, timeColumn{&c.Expires}},
		`SELECT id, request, decided, created_at, code_used_at IS NOT NULL, COALESCE(family_id, ''), code_expires_at
		FROM authorization_requests WHERE code_hash = $1`, hash)
	if err == nil && !found {
		err = ErrNoCode
	}
	if err != nil {
		return Code{}, err
	}
	var of issued
	if err := decodeAuthorization(request, "", &c.Authorization); err != nil {
		return Code{}, err
	}
	if err := json.Unmarshal([]byte(decided), &of); err != nil {
		return Code{}, err
	}
	c.Decided, c.SessionID, c.AuthTime, c.Methods, c.ACR = of.Decisions, of.SessionID, of.AuthTime, of.Methods, of.ACR
	return c, nil
}

// CodeUse is the use of a code by its client.
type CodeUse struct {
	Hash string
	Code Code // that Code has returned: it never changes, but for its use
	// May decides in the transaction whether the user may have a token of the client.
	May func(Authorization) error
}

// UseCode marks the code used and starts the family, all or nothing; nil: none is
// started. Of any number of calls with one code exactly one succeeds. The session and
// the user must still be valid. A code that was used before is refused with ErrCodeReuse
// in the chain, and what was issued for it ends, which is committed in spite of the error.
func (s *Store) UseCode(ctx context.Context, by identity.Actor, use CodeUse, first *NewFamily) (g Subject, err error) {
	if first != nil && first.ID == "" {
		first.ID = NewID()
	}
	if use.Code.Used {
		if err := s.lookup(ctx, func(t *tx) error { return t.issuedFor(use.Code) }); err != nil {
			return Subject{}, err
		}
	}
	err = s.write(ctx, func(t *tx) error {
		var family sql.NullString
		if first != nil {
			family = sql.NullString{String: first.ID, Valid: true}
		}
		n, err := t.exec(`UPDATE authorization_requests SET code_used_at = $2, family_id = $3, request = $4, purge_at = $5
			WHERE code_hash = $1 AND code_used_at IS NULL AND code_expires_at > $2`,
			use.Hash, t.stamp(), family, use.Code.Request.OfUsedCode().Encode(), FormatTime(t.now.Add(usedCodesStay)))
		if err == nil && n != 1 {
			return t.notUsable(by, use.Hash)
		}
		if err == nil {
			g, err = t.useCode(by, use, first)
		}
		return err
	})
	if err != nil {
		return Subject{}, err
	}
	return g, nil
}

// useCode starts what the code is exchanged for.
func (t *tx) useCode(by identity.Actor, use CodeUse, first *NewFamily) (Subject, error) {
	c := use.Code
	if err := t.lockUserOf(c.SessionID); err != nil {
		return Subject{}, err
	}
	a := Authorization{ID: c.ID, Request: c.Request, Decided: c.Decided, CreatedAt: c.CreatedAt}
	if err := t.completeAuthorization(&a, c.SessionID, t.forShare("u, c, s")); err != nil {
		return Subject{}, err
	}
	if a.SessionID == "" {
		return Subject{}, ErrNoCode // the session has ended
	}
	if err := use.May(a); err != nil {
		return Subject{}, err
	}
	if first == nil {
		return t.named(Subject{User: a.User, Groups: a.Groups, SessionID: a.SessionID}, nil)
	}
	return t.startGrant(by.AsUser(a.User.ID), a, *first)
}

// issuedFor is ErrNoCode when nothing is left to end of what a used code was exchanged for:
// its replay does not take the writer.
func (t *tx) issuedFor(c Code) error {
	var one int64
	left, err := t.get([]any{&one}, "SELECT 1 FROM refresh_families WHERE id = $1 AND ("+EndCodeReuse.endable()+")", c.FamilyID)
	if err == nil && !left {
		err = ErrNoCode
	}
	return err
}

// notUsable decides about a code that could not be marked used: it was used before, or
// has expired.
func (t *tx) notUsable(by identity.Actor, hash string) error {
	c, err := t.code(hash)
	if err != nil {
		return err
	}
	if !c.Used || c.FamilyID == "" {
		return ErrNoCode
	}
	var user, org string
	if _, err := t.get([]any{&user, &org}, `SELECT u.id, u.org_id FROM refresh_families f JOIN users u ON u.id = f.user_id
		WHERE f.id = $1`, c.FamilyID); err != nil {
		return err
	}
	ended, err := t.end(EndCodeReuse, subjects{userID: user, familyID: c.FamilyID})
	if err != nil {
		return err
	}
	if !ended {
		return ErrNoCode
	}
	act := Act{Action: identity.ActionCodeReuse, By: by, Detail: "family " + c.FamilyID}
	if err := t.audit(act.Event(OutcomeRefused, user, org)); err != nil {
		return err
	}
	return kept{ErrCodeReuse}
}

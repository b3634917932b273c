package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/identity"
)

const (
	userColumns = `u.id, u.email, u.email_key, u.display_name, u.password_hash, u.role, u.org_id, o.status,
		u.status, u.default_password, u.created_at, u.last_login_at, u.credentials_version,
		u.profile, u.updated_at, u.password_form, u.email_verified`
	userTables = "users u JOIN organizations o ON o.id = u.org_id"
)

// userDest is where userColumns are scanned to.
func userDest(u *identity.User) []any {
	return []any{
		&u.ID, &u.Email, &u.EmailKey, &u.DisplayName, (*string)(&u.PasswordHash), (*string)(&u.Role), &u.OrgID,
		(*string)(&u.OrgStatus), (*string)(&u.Status), &u.DefaultPassword,
		timeColumn{&u.CreatedAt},
		timeColumn{&u.LastLoginAt},
		countColumn{&u.CredentialsVersion},
		profileColumn{&u.Profile},
		timeColumn{&u.UpdatedAt},
		(*string)(&u.PasswordForm),
		&u.EmailVerified,
	}
}

// profileColumn scans a stored profile; empty text is the zero Profile.
type profileColumn struct{ to *identity.Profile }

// Scan implements sql.Scanner.
func (c profileColumn) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("stored profile has type %T", src)
	}
	*c.to = identity.Profile{}
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), c.to)
}

// storedProfile is the profile as stored.
func storedProfile(p identity.Profile) string {
	if p == (identity.Profile{}) {
		return ""
	}
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // a struct of strings
	}
	return string(text)
}

// claimsColumns are what a client needs of a user: that of which claims are made, and what
// decides whether it gets any. Each further column costs every grant.
const claimsColumns = `u.id, u.email, u.display_name, u.role, u.org_id, o.status, u.status, u.profile, u.updated_at,
	u.email_verified, u.metadata, ` + groupsOfUser

// claimsDest is where claimsColumns are scanned to; groups are ids, sorted, never nil.
func claimsDest(u *identity.User, groups *[]string) []any {
	return []any{
		&u.ID, &u.Email, &u.DisplayName, (*string)(&u.Role), &u.OrgID, (*string)(&u.OrgStatus), (*string)(&u.Status),
		profileColumn{&u.Profile},
		timeColumn{&u.UpdatedAt},
		&u.EmailVerified, &u.Metadata, (*groupsColumn)(groups),
	}
}

func scanUser(r scanner) (u identity.User, err error) {
	err = r.Scan(userDest(&u)...)
	return u, err
}

// user reads a user; lock is the result of forShare, forUpdate or unlocked.
func (t *tx) user(id, lock string) (u identity.User, err error) {
	err = t.oneUser(&u, "u.id = $1", lock, id)
	return u, err
}

func (t *tx) oneUser(u *identity.User, condition, lock string, args ...any) error {
	found, err := t.get(userDest(u), "SELECT "+userColumns+" FROM "+userTables+" WHERE "+condition+lock, args...)
	if err == nil && !found {
		err = identity.ErrNoUser
	}
	return err
}

// UserByID returns the user of the id, NotFound when there is none.
func (s *Store) UserByID(ctx context.Context, id string) (u identity.User, err error) {
	err = s.read(ctx, func(t *tx) error {
		u, err = t.user(id, "")
		return err
	})
	return u, err
}

// UserByEmail returns the user whose address has that identity.EmailKey, NotFound
// when there is none.
func (s *Store) UserByEmail(ctx context.Context, emailKey string) (*identity.User, error) {
	u := new(identity.User)
	if err := s.lookup(ctx, func(t *tx) error { return t.oneUser(u, "u.email_key = $1", "", emailKey) }); err != nil {
		return nil, err
	}
	return u, nil
}

// Bearer is the current state behind an access token.
type Bearer struct {
	User   identity.User // of Bearer only what decides about a request: id, role, organization and both statuses
	Ended  EndReason     // of its session, or of its family if that refuses more; empty: neither has ended, both were purged, or the token names none
	Spared bool          // it made the last change of password

	// Of ProfileBearer.
	Groups     []string // ids, sorted, never nil
	GroupNames []string // in the order of Groups; nil unless Config.GroupNames is set
}

// Bearer looks up the user, the session and the id that an access token names.
// Each authenticated request makes this query, so it asks only whether the session
// lives and nothing of it has ended; where something has, the second query says what.
func (s *Store) Bearer(ctx context.Context, userID, sessionID, tokenID string) (*Bearer, error) {
	b := new(Bearer)
	err := s.lookup(ctx, func(t *tx) error {
		return t.bearer(b, "SELECT "+requestColumns+liveBearer, "SELECT "+requestColumns+endedBearer, b.dest(), userID, sessionID, tokenID)
	})
	return b, err
}

// ProfileBearer is Bearer with all that users see of themselves, their groups too.
func (s *Store) ProfileBearer(ctx context.Context, userID, sessionID, tokenID string) (*Bearer, error) {
	b := new(Bearer)
	err := s.lookup(ctx, func(t *tx) error {
		if err := t.bearer(b, "SELECT "+ownColumns+liveBearer, "SELECT "+ownColumns+endedBearer, b.ownDest(), userID, sessionID, tokenID); err != nil || !t.groupNames {
			return err
		}
		var err error
		b.Groups, b.GroupNames, err = t.namedGroups(userID)
		return err
	})
	return b, err
}

// bearer reads columns of the user into dest, which is of b, and the rest of b. live and
// ended are the queries, which are constants: to join their parts for each request
// would cost more than the arguments.
func (t *tx) bearer(b *Bearer, live, ended string, dest []any, userID, sessionID, tokenID string) error {
	var untouched bool
	found, err := t.get(append(dest, &untouched), live, userID, sessionID)
	switch {
	case err != nil || untouched:
		return err
	case !found:
		return identity.ErrNoUser
	}
	return t.endedBearer(b, ended, dest, userID, sessionID, tokenID)
}

const (
	// requestColumns are what a request reads of userTables, and ownColumns what users
	// see of themselves: each further column costs every request.
	requestColumns = `u.id, u.role, u.org_id, o.status, u.status`
	ownColumns     = requestColumns + `, u.email, u.display_name, u.created_at, u.last_login_at, u.profile, u.updated_at,
		u.email_verified, u.metadata, ` + groupsOfUser

	liveBearer = `, s.id IS NOT NULL AND s.ended_at IS NULL AND s.spared_jti IS NULL
			AND NOT EXISTS (SELECT 1 FROM refresh_families f WHERE f.session_id = $2 AND f.ended_at > '')
		FROM ` + bearerTables
	bearerTables = userTables + ` LEFT JOIN sessions s ON s.id = $2 AND s.user_id = u.id WHERE u.id = $1`
)

// dest is where requestColumns are scanned to.
func (b *Bearer) dest() []any {
	u := &b.User
	return append(make([]any, 0, 8), &u.ID, (*string)(&u.Role), &u.OrgID, (*string)(&u.OrgStatus), (*string)(&u.Status))
}

// ownDest is where ownColumns are scanned to.
func (b *Bearer) ownDest() []any {
	u := &b.User
	return append(b.dest(), &u.Email, &u.DisplayName,
		timeColumn{&u.CreatedAt},
		timeColumn{&u.LastLoginAt},
		profileColumn{&u.Profile},
		timeColumn{&u.UpdatedAt},
		&u.EmailVerified, &u.Metadata, (*groupsColumn)(&b.Groups))
}

// endedBearer is the query about a session of which something has ended. When the session
// has not ended, the family that the token came from may have ended alone, and when
// it has, that family may have ended before, for another reason, or one of
// offline_access may remain; when there is no session, a process of the previous
// release started that family.
const endedBearer = `, COALESCE(CASE
			WHEN s.id IS NULL THEN (SELECT f.end_reason FROM refresh_families f WHERE f.id = $2 AND f.user_id = $1)
			WHEN s.ended_at IS NOT NULL AND NOT EXISTS (
				SELECT 1 FROM refresh_families f JOIN refresh_tokens t ON t.family_id = f.id
				WHERE f.session_id = $2 AND f.ended_at IS NULL AND ` + offlineFamily + ` AND t.access_jti = $3) THEN s.end_reason
		END, ''), COALESCE((SELECT f.end_reason FROM refresh_families f JOIN refresh_tokens t ON t.family_id = f.id
			WHERE f.session_id = $2 AND f.user_id = $1 AND f.ended_at > '' AND t.access_jti = $3), ''), COALESCE(s.spared_jti = $3, FALSE)
		FROM ` + bearerTables

// endedBearer is bearer for a session of which something has ended.
func (t *tx) endedBearer(b *Bearer, query string, dest []any, userID, sessionID, tokenID string) error {
	var family EndReason
	found, err := t.get(append(dest, (*string)(&b.Ended), (*string)(&family), &b.Spared), query, userID, sessionID, tokenID)
	if err == nil && !found {
		err = identity.ErrNoUser
	}
	if family != "" && !b.Ended.RefusedHere() {
		b.Ended = family
	}
	return err
}

// HasSuperadmin reports whether there is any superadmin, active or not.
func (s *Store) HasSuperadmin(ctx context.Context) (has bool, err error) {
	err = s.read(ctx, func(t *tx) error {
		has, err = t.hasSuperadmin()
		return err
	})
	return has, err
}

func (t *tx) hasSuperadmin() (bool, error) {
	var id string
	return t.get([]any{&id}, "SELECT id FROM users WHERE role = 'superadmin' LIMIT 1")
}

// DefaultPasswordAdmin returns the e-mail address of an active superadmin who
// still has the published default password.
func (s *Store) DefaultPasswordAdmin(ctx context.Context) (email string, ok bool, err error) {
	err = s.read(ctx, func(t *tx) error {
		ok, err = t.get([]any{&email}, `SELECT email FROM users
			WHERE role = 'superadmin' AND status = 'active' AND default_password = 1 ORDER BY created_at, id LIMIT 1`)
		return err
	})
	return email, ok, err
}

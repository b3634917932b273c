package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// lastUsedEvery is the shortest interval at which the last use of a session is written.
const lastUsedEvery = time.Minute

// StartSession starts a session of the user of proof, together with its first
// family. It is identity.ErrInvalidCredentials when the user may not sign in, or
// when their credentials were changed after the proof. No refresh token of the
// family outlives first.ExpiresAt, the absolute end of the session; the last
// access token may, by its own lifetime.
//
// The session has the id of its first family: a process of the previous release
// finds by it what it calls a session.
func (s *Store) StartSession(ctx context.Context, act Act, proof identity.Proof, first NewFamily) (g Subject, err error) {
	err = s.write(ctx, func(t *tx) error {
		u, err := t.signIn(proof)
		if err != nil {
			return err
		}
		act.By = act.By.AsUser(u.ID)
		if g, err = t.startSession(act, u, proof, first); err != nil {
			return err
		}
		act.Detail = "session " + g.SessionID
		return t.done(act, u.ID, u.OrgID)
	})
	if err != nil {
		return Subject{}, err
	}
	return g, nil
}

// signIn reads the user of proof, if they may sign in and their credentials are still
// those that were proved.
func (t *tx) signIn(proof identity.Proof) (u identity.User, err error) {
	n, err := t.exec("UPDATE users SET last_login_at = $1 WHERE id = $2 AND credentials_version = $3",
		t.stamp(), proof.UserID(), proof.CredentialsVersion())
	if err == nil && n != 1 {
		err = identity.ErrInvalidCredentials
	}
	if err == nil {
		err = t.renewHash(proof)
	}
	if err == nil {
		u, err = t.user(proof.UserID(), "")
	}
	if err == nil && !identity.CanSignIn(u) {
		err = identity.ErrInvalidCredentials
	}
	return u, err
}

// renewHash replaces the password hash that the proof renews. The version of the
// credentials stays: they are the same. A process of the previous release may have
// changed the password without raising it.
func (t *tx) renewHash(proof identity.Proof) error {
	hash, renewed := proof.Renewed()
	if renewed == "" {
		return nil
	}
	_, err := t.exec("UPDATE users SET password_hash = $1, password_form = 'nfc' WHERE id = $2 AND password_hash = $3",
		string(renewed), proof.UserID(), string(hash))
	return err
}

// startSession stores a session and its first family. The caller has checked
// that the user may sign in.
func (t *tx) startSession(act Act, u identity.User, proof identity.Proof, first NewFamily) (Subject, error) {
	if first.ID == "" {
		first.ID = NewID()
	}
	if err := t.limitSessions(act.By, u, first.Limit); err != nil {
		return Subject{}, err
	}
	_, err := t.exec(`INSERT INTO sessions (id, user_id, created_at, auth_time, amr, acr, last_used_at, address, user_agent, idle_expires_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $3, $7, $8, $9, $10)`,
		first.ID, u.ID, t.stamp(), FormatTime(proof.Time()), strings.Join(proof.Methods(), " "), proof.ACR(),
		act.By.Address, act.By.UserAgent, FormatTime(first.idleEnd()), FormatTime(first.ExpiresAt))
	if err != nil {
		return Subject{}, err
	}
	g, err := t.startFamily(act.By, u, first.ID, first)
	if err == nil {
		g.Groups, err = t.groupIDs(u.ID)
	}
	return t.named(g, err)
}

// sharedHash is what a family stores of its first token.
func sharedHash(first NewRefresh) sql.NullString {
	return sql.NullString{String: first.SharedHash, Valid: first.SharedHash != ""}
}

// startFamily stores a family of the session, and its first refresh token. The result
// has no groups.
func (t *tx) startFamily(by identity.Actor, u identity.User, sessionID string, f NewFamily) (Subject, error) {
	if f.Permit != nil {
		if err := f.Permit(u.ID, sessionID); err != nil {
			return Subject{}, err
		}
	}
	if err := t.limitFamilies(by, u, sessionID, f); err != nil {
		return Subject{}, err
	}
	if f.ID == "" {
		f.ID = NewID()
	}
	_, err := t.exec(`INSERT INTO refresh_families (id, user_id, created_at, expires_at, session_id, client_id, scope, shared_hash,
			audience, claims, auth_time, amr, acr)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		f.ID, u.ID, t.stamp(), FormatTime(f.ExpiresAt), sessionID, f.ClientID, f.Scope, sharedHash(f.First),
		f.Audience, f.Claims, FormatOptional(f.AuthTime), strings.Join(f.AMR, " "), f.ACR)
	if err != nil {
		return Subject{}, err
	}
	err = t.insertRefresh(u.ID, f.ID, f.ExpiresAt, f.First)
	return Subject{User: u, SessionID: sessionID, FamilyID: f.ID}, err
}

// EndSession ends the actor's own session. One that has ended or is another
// user's is left unchanged, without an error.
func (s *Store) EndSession(ctx context.Context, act Act, sessionID string) error {
	return s.write(ctx, func(t *tx) error {
		ended, err := t.end(EndLogout, subjects{userID: act.By.ID, sessionID: sessionID})
		if err != nil || !ended {
			return err
		}
		act.Detail = "session " + sessionID
		return t.doneOwn(act)
	})
}

// EndSessionByToken ends the session of a refresh token of the client, used or
// not; an unknown one is identity.ErrInvalidToken, and refused by a read.
func (s *Store) EndSessionByToken(ctx context.Context, act Act, p PresentedRefresh) (sessionID string, err error) {
	p.Permit = nil
	if err := s.examine(ctx, p); err != nil {
		return "", err
	}
	err = s.write(ctx, func(t *tx) error {
		r, err := t.storedToken(p)
		if err != nil {
			return err
		}
		sessionID = r.sessionID
		if r.ended {
			sessionID = r.familyID // after a change of password the session may continue with other tokens
		}
		ended, err := t.end(EndLogout, subjects{userID: r.userID, sessionID: sessionID})
		if err != nil || !ended {
			return err
		}
		act.By, act.Detail = act.By.AsUser(r.userID), "session "+sessionID
		return t.doneOwn(act)
	})
	if err != nil {
		return "", err
	}
	return sessionID, nil
}

// doneOwn writes the audit row of an operation of a user on their own account.
func (t *tx) doneOwn(act Act) error {
	var org string
	if _, err := t.get([]any{&org}, "SELECT org_id FROM users WHERE id = $1", act.By.ID); err != nil {
		return err
	}
	return t.done(act, act.By.ID, org)
}

// Reauthenticate moves the time of the authentication of the actor's session to that
// of proof. It is identity.ErrInvalidToken when the user may not sign in, or when
// their credentials were changed after the proof, and identity.ErrReauthenticate
// when the access token names no valid session.
func (s *Store) Reauthenticate(ctx context.Context, act Act, proof identity.Proof) error {
	return s.write(ctx, func(t *tx) error {
		u, err := t.user(proof.UserID(), t.forUpdate("u"))
		switch {
		case err != nil && fault.KindOf(err) != fault.NotFound:
			return err
		case act.By.Kind != identity.ActorUser || u.ID != act.By.ID || u.CredentialsVersion != proof.CredentialsVersion() || !identity.CanSignIn(u):
			return identity.ErrInvalidToken
		}
		session, _, err := t.ownSession(u.ID, act.By.SessionID)
		if err != nil {
			return err
		}
		if session == "" {
			return identity.ErrReauthenticate
		}
		_, err = t.exec("UPDATE sessions SET auth_time = $1, amr = $2, acr = $3 WHERE id = $4",
			FormatTime(proof.Time()), strings.Join(proof.Methods(), " "), proof.ACR(), session)
		if err != nil {
			return err
		}
		act.Detail = "session " + session
		return t.done(act, u.ID, u.OrgID)
	})
}

// ownSession finds the session that the claim sid of an access token names, and
// keeps it from ending until the commit; id is empty when it has ended or does
// not exist.
func (t *tx) ownSession(userID, sid string) (id string, end time.Time, err error) {
	// A rotation locks its token before the session, and so does this.
	if err := t.lock("refresh_tokens", "t", "t.family_id = $1 AND t.user_id = $2 AND t.used_at IS NULL", sid, userID); err != nil {
		return "", end, err
	}
	var family string
	without, err := t.get([]any{&family}, "SELECT id FROM refresh_families WHERE id = $1 AND user_id = $2 AND session_id IS NULL", sid, userID)
	if err == nil && without {
		err = t.giveSession(family, t.now)
	}
	if err != nil {
		return "", end, err
	}
	valid, err := t.get([]any{&id, timeColumn{&end}}, `SELECT s.id, s.expires_at FROM sessions s
		WHERE s.id = $1 AND s.user_id = $2 AND s.ended_at IS NULL AND s.expires_at > $3`+t.forUpdate("s"), sid, userID, t.stamp())
	if err != nil || !valid {
		return "", end, err
	}
	return id, end, nil
}

// restartFamily gives a session whose families have just ended a new first refresh
// token. It reuses the session's own family, since access tokens name it by the id
// that it shares with the session, and processes of the previous release know
// only that id; the tokens it issued before move to a family that stays ended.
func (t *tx) restartFamily(u identity.User, sessionID string, f NewFamily) (Subject, error) {
	ended := NewID()
	var shared sql.NullString // moves with the tokens that have it
	if _, err := t.get([]any{&shared}, "SELECT shared_hash FROM refresh_families WHERE id = $1"+t.forUpdate("refresh_families"), sessionID); err != nil {
		return Subject{}, err
	}
	if _, err := t.exec("UPDATE refresh_families SET shared_hash = $1 WHERE id = $2", sharedHash(f.First), sessionID); err != nil {
		return Subject{}, err
	}
	_, err := t.exec(`INSERT INTO refresh_families (id, user_id, created_at, expires_at, ended_at, end_reason, session_id, client_id, scope, shared_hash)
		SELECT $1, user_id, created_at, expires_at, ended_at, end_reason, session_id, client_id, scope, $3
		FROM refresh_families WHERE id = $2`, ended, sessionID, shared)
	if err != nil {
		return Subject{}, err
	}
	// PostgreSQL: a concurrent rotation has locked the token that it uses. Its
	// successor is visible only to the next statement, after the wait for that lock.
	for moved := int64(1); moved > 0; {
		if moved, err = t.exec("UPDATE refresh_tokens SET family_id = $1 WHERE family_id = $2", ended, sessionID); err != nil {
			return Subject{}, err
		}
	}
	if _, err := t.exec("UPDATE refresh_families SET ended_at = NULL, end_reason = NULL WHERE id = $1", sessionID); err != nil {
		return Subject{}, err
	}
	if err := t.insertRefresh(u.ID, sessionID, f.ExpiresAt, f.First); err != nil {
		return Subject{}, err
	}
	if err := t.used(sessionID, f.idleEnd()); err != nil {
		return Subject{}, err
	}
	groups, err := t.groupIDs(u.ID)
	return t.named(Subject{User: u, Groups: groups, SessionID: sessionID, FamilyID: sessionID}, err)
}

// giveSession makes the session of a family that has none because a process of the
// previous release started it. The session has the id of the family, which its
// access tokens name.
func (t *tx) giveSession(familyID string, idleEnd time.Time) error {
	_, err := t.exec(`INSERT INTO sessions (id, created_at, user_id, auth_time, amr, acr, last_used_at, idle_expires_at, expires_at, ended_at, end_reason)
		SELECT id, created_at, user_id, created_at, '`+identity.MethodPassword+`', '`+identity.ACROneFactor+`', $1, $2, expires_at, ended_at, end_reason
		FROM refresh_families WHERE id = $3 ON CONFLICT (id) DO NOTHING`, t.stamp(), FormatTime(idleEnd), familyID)
	if err != nil {
		return err
	}
	_, err = t.exec("UPDATE refresh_families SET session_id = id WHERE id = $1", familyID)
	return err
}

// used records the use of a session, which is due once in lastUsedEvery.
func (t *tx) used(sessionID string, idleEnd time.Time) error {
	_, err := t.exec("UPDATE sessions SET last_used_at = $1, idle_expires_at = $2 WHERE id = $3", t.stamp(), FormatTime(idleEnd), sessionID)
	return err
}

package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// sessionColumns are those of a session, alias s, as listed. A session of the JSON
// login has the id of its family; a browser has none.
const sessionColumns = `s.id, COALESCE((SELECT f.client_id FROM refresh_families f WHERE f.id = s.id), ''), s.created_at, s.last_used_at,
	s.idle_expires_at, s.expires_at, s.address, s.user_agent, s.amr, s.acr, s.auth_time, s.stay`

// sessionDest is where sessionColumns are scanned to.
func sessionDest(s *identity.Session) []any {
	return []any{
		&s.ID, &s.ClientID,
		timeColumn{&s.CreatedAt},
		timeColumn{&s.LastUsedAt},
		timeColumn{&s.ExpiresAt},
		timeColumn{&s.EndsAt},
		&s.Address, &s.UserAgent, (*fieldsColumn)(&s.Methods), &s.ACR,
		timeColumn{&s.AuthTime},
		&s.Stay,
	}
}

func scanSession(r scanner) (s identity.Session, err error) {
	err = r.Scan(sessionDest(&s)...)
	s.ExpiresAt = earlier(s.ExpiresAt, s.EndsAt)
	return s, err
}

// fieldsColumn scans text that is separated by spaces.
type fieldsColumn []string

// Scan implements sql.Scanner.
func (c *fieldsColumn) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("stored list has type %T", src)
	}
	*c = strings.Fields(text)
	return nil
}

// heldSessions are the sessions of the user $2, and their families of offline_access,
// which outlive sessions and so are listed on their own, under the id of the family. Its
// last use is the time of its newest token.
const heldSessions = `(SELECT s.id, s.user_id, s.created_at, s.last_used_at, s.idle_expires_at, s.expires_at, s.address, s.user_agent,
		s.amr, s.acr, s.auth_time, s.stay
	FROM sessions s WHERE s.user_id = $2 AND s.ended_at IS NULL AND s.idle_expires_at > $1 AND s.expires_at > $1
	UNION ALL SELECT f.id, f.user_id, f.created_at, (SELECT t.created_at` + ofNewest + `), (SELECT t.expires_at` + ofNewest + `), f.expires_at, COALESCE(s.address, ''), COALESCE(s.user_agent, ''),
		f.amr, f.acr, COALESCE(f.auth_time, f.created_at), 0
	FROM refresh_families f LEFT JOIN sessions s ON s.id = f.session_id
	WHERE f.user_id = $2 AND f.ended_at IS NULL AND f.expires_at > $1 AND (SELECT t.expires_at` + ofNewest + `) > $1 AND ` + listedAlone + `) s`

// listedAlone is the condition that a family, alias f, is listed on its own.
const listedAlone = "f.client_id <> '" + identity.FirstPartyClient + "' AND " + offlineFamily

// Sessions lists the sessions of the user that have neither ended nor expired, and what
// clients hold of the user without a session, to the user or an administrator of them.
func (s *Store) Sessions(ctx context.Context, by identity.Actor, userID string, f ListFilter) (p Page[identity.Session], err error) {
	err = s.listing(ctx, func(t *tx) error {
		u, err := t.target(by, userID, identity.MayManageSessions)
		if err != nil {
			return err
		}
		l := list[identity.Session]{
			columns: sessionColumns, from: heldSessions, alias: "s", scan: scanSession,
			key:  func(s identity.Session) (time.Time, string) { return s.CreatedAt, s.ID },
			args: []any{t.stamp(), u.ID},
		}
		p, err = l.page(t, f)
		return err
	})
	return p, err
}

// EndUserSession ends one session of the user, as a logout does, or one of their
// families of offline_access; the actor is the user or an administrator of them. One
// that has ended, or is another user's, is NotFound.
func (s *Store) EndUserSession(ctx context.Context, act Act, userID, sessionID string) error {
	return s.write(ctx, func(t *tx) error {
		u, err := t.target(act.By, userID, identity.MayManageSessions)
		if err != nil {
			return err
		}
		act.Detail = "session " + sessionID
		ended, err := t.end(EndLogout, subjects{userID: u.ID, sessionID: sessionID})
		if err == nil && !ended {
			act.Detail = "family " + sessionID
			ended, err = t.endAlone(u.ID, sessionID)
		}
		if err != nil {
			return err
		}
		if !ended {
			return identity.ErrNoSession
		}
		return t.done(act, u.ID, u.OrgID)
	})
}

// endAlone ends a family that is listed on its own.
func (t *tx) endAlone(userID, familyID string) (ended bool, err error) {
	var id string
	listed, err := t.get([]any{&id}, "SELECT f.id FROM refresh_families f WHERE f.id = $1 AND f.user_id = $2 AND "+listedAlone, familyID, userID)
	if err != nil || !listed {
		return false, err
	}
	return t.end(EndTokenRevocation, subjects{userID: userID, familyID: familyID})
}

// EndUserSessions ends all sessions of the user, the actor's own too, and every
// refresh token family; the actor is the user or an administrator of them. tell are the
// front-channel logout URIs of the clients of the actor's own session.
func (s *Store) EndUserSessions(ctx context.Context, act Act, userID string) (tell []string, err error) {
	err = s.write(ctx, func(t *tx) error {
		u, err := t.target(act.By, userID, identity.MayManageSessions)
		if err != nil {
			return err
		}
		if _, err := t.end(EndLogoutAll, subjects{userID: u.ID}); err != nil {
			return err
		}
		if tell = nil; act.By.SessionID != "" && act.By.UserID() == u.ID {
			if tell, err = t.frontchannel(act.By.SessionID); err != nil {
				return err
			}
		}
		return t.done(act, u.ID, u.OrgID)
	})
	return tell, err
}

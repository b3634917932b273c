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
		&s.ID, &s.ClientID, timeColumn{&s.CreatedAt}, timeColumn{&s.LastUsedAt}, timeColumn{&s.ExpiresAt}, timeColumn{&s.EndsAt},
		&s.Address, &s.UserAgent, (*fieldsColumn)(&s.Methods), &s.ACR, timeColumn{&s.AuthTime}, &s.Stay,
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

// Sessions lists the sessions of the user that have neither ended nor expired, to the
// user or an administrator of them.
func (s *Store) Sessions(ctx context.Context, by identity.Actor, userID string, f ListFilter) (p Page[identity.Session], err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		u, err := t.target(by, userID, identity.MayManageSessions)
		if err != nil {
			return err
		}
		l := list[identity.Session]{
			columns: sessionColumns, from: "sessions s", alias: "s", scan: scanSession,
			key:   func(s identity.Session) (time.Time, string) { return s.CreatedAt, s.ID },
			where: []string{"s.ended_at IS NULL", "s.idle_expires_at > $1", "s.expires_at > $1"},
			args:  []any{t.stamp()},
		}
		l.only("s.user_id", u.ID)
		p, err = l.page(t, f)
		return err
	})
	return p, err
}

// EndUserSession ends one session of the user, as a logout does; the actor is the
// user or an administrator of them. One that has ended, or is another user's, is
// NotFound.
func (s *Store) EndUserSession(ctx context.Context, act Act, userID, sessionID string) error {
	return s.write(ctx, func(t *tx) error {
		u, err := t.target(act.By, userID, identity.MayManageSessions)
		if err != nil {
			return err
		}
		ended, err := t.end(EndLogout, subjects{userID: u.ID, sessionID: sessionID})
		if err != nil {
			return err
		}
		if !ended {
			return identity.ErrNoSession
		}
		act.Detail = "session " + sessionID
		return t.done(act, u.ID, u.OrgID)
	})
}

// EndUserSessions ends all sessions of the user, the actor's own too, and every
// refresh token family; the actor is the user or an administrator of them.
func (s *Store) EndUserSessions(ctx context.Context, act Act, userID string) error {
	return s.write(ctx, func(t *tx) error {
		u, err := t.target(act.By, userID, identity.MayManageSessions)
		if err != nil {
			return err
		}
		if _, err := t.end(EndLogoutAll, subjects{userID: u.ID}); err != nil {
			return err
		}
		return t.done(act, u.ID, u.OrgID)
	})
}

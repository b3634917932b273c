package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// BrowserSession is a session in a browser, with its user as the cookie is read.
type BrowserSession struct {
	User    identity.User
	Session identity.Session
}

// BrowserSignIn is what StartBrowserSession needs besides the proof.
type BrowserSignIn struct {
	CookieHash    string // of the secret that the browser gets
	PresentedHash string // of the secret that it had; empty: none
	Stay          bool   // "stay signed in"
	Limit         int    // sessions of a user; the least recently used ends; 0: no limit
}

// StartBrowserSession signs the user of proof in. When the browser has a session of
// the same user, that one continues, with the time and methods of the proof and
// another cookie; otherwise a session starts, and one of another user ends, as by a
// logout: no browser has its cookie any more. Both ends are counted from now. It is
// identity.ErrInvalidCredentials as in StartSession.
func (s *Store) StartBrowserSession(ctx context.Context, act Act, proof identity.Proof, in BrowserSignIn) (b BrowserSession, err error) {
	err = s.write(ctx, func(t *tx) error {
		u, err := t.signIn(proof)
		if err != nil {
			return err
		}
		act.By = act.By.AsUser(u.ID)
		again, err := t.signInAgain(u, proof, in)
		if err == nil && !again {
			err = t.endReplaced(act.By, in.PresentedHash)
		}
		if err == nil && !again {
			err = t.startBrowser(act.By, u, proof, in)
		}
		if err != nil {
			return err
		}
		if b, err = t.browser(in.CookieHash); err != nil {
			return err
		}
		act.Detail = "session " + b.Session.ID
		return t.done(act, u.ID, u.OrgID)
	})
	if err != nil {
		return BrowserSession{}, err
	}
	return b, nil
}

// signInAgain continues the session of the presented cookie, if it is the user's.
func (t *tx) signInAgain(u identity.User, proof identity.Proof, in BrowserSignIn) (bool, error) {
	if in.PresentedHash == "" {
		return false, nil
	}
	var id string
	var stayed bool
	found, err := t.get([]any{&id, &stayed}, `SELECT s.id, s.stay = 1 FROM sessions s WHERE s.cookie_hash = $1 AND s.user_id = $2
		AND s.ended_at IS NULL AND s.idle_expires_at > $3 AND s.expires_at > $3`+t.forUpdate("s"), in.PresentedHash, u.ID, t.stamp())
	if err != nil || !found {
		return false, err
	}
	stay := in.Stay || stayed
	idle, end := t.browserTimes.ends(t.now, stay)
	_, err = t.exec(`UPDATE sessions SET auth_time = $1, amr = $2, acr = $3, cookie_hash = $4, stay = $5,
		last_used_at = $6, idle_expires_at = $7, expires_at = $8 WHERE id = $9`,
		FormatTime(proof.Time()), strings.Join(proof.Methods(), " "), proof.ACR(), in.CookieHash, oneIf(stay),
		t.stamp(), FormatTime(idle), FormatTime(end), id)
	return err == nil, err
}

// endReplaced ends the session that the browser had: another user signs in.
func (t *tx) endReplaced(by identity.Actor, cookieHash string) error {
	if cookieHash == "" {
		return nil
	}
	var user, org, session string
	found, err := t.get([]any{&user, &org, &session},
		"SELECT u.id, u.org_id, s.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.cookie_hash = $1", cookieHash)
	if err != nil || !found {
		return err
	}
	ended, err := t.end(EndLogout, subjects{userID: user, sessionID: session})
	if err != nil || !ended {
		return err
	}
	return t.done(Act{Action: identity.ActionLogout, By: by, Detail: "session " + session + ", another user signed in"}, user, org)
}

func (t *tx) startBrowser(by identity.Actor, u identity.User, proof identity.Proof, in BrowserSignIn) error {
	if err := t.limitSessions(by, u, in.Limit); err != nil {
		return err
	}
	idle, end := t.browserTimes.ends(t.now, in.Stay)
	_, err := t.exec(`INSERT INTO sessions (id, user_id, created_at, auth_time, amr, acr, last_used_at, address, user_agent,
		idle_expires_at, expires_at, cookie_hash, stay) VALUES ($1, $2, $3, $4, $5, $6, $3, $7, $8, $9, $10, $11, $12)`,
		NewID(), u.ID, t.stamp(), FormatTime(proof.Time()), strings.Join(proof.Methods(), " "), proof.ACR(),
		by.Address, by.UserAgent, FormatTime(idle), FormatTime(end), in.CookieHash, oneIf(in.Stay))
	return err
}

// browser reads the session of a cookie that has neither ended nor expired; its user
// may sign in. Otherwise it is identity.ErrNoSession.
func (t *tx) browser(cookieHash string) (b BrowserSession, err error) {
	found, err := t.get(append(userDest(&b.User), sessionDest(&b.Session)...),
		"SELECT "+userColumns+", "+sessionColumns+" FROM "+userTables+` JOIN sessions s ON s.user_id = u.id
		WHERE s.cookie_hash = $1 AND s.ended_at IS NULL AND s.idle_expires_at > $2 AND s.expires_at > $2`, cookieHash, t.stamp())
	if err != nil {
		return BrowserSession{}, err
	}
	if !found || !identity.CanSignIn(b.User) {
		return BrowserSession{}, identity.ErrNoSession
	}
	b.Session.ExpiresAt = earlier(b.Session.ExpiresAt, b.Session.EndsAt)
	return b, nil
}

// BrowserSession returns the session of a cookie, and records its use. It is
// identity.ErrNoSession when the session has ended or expired, and when its user may
// not sign in.
func (s *Store) BrowserSession(ctx context.Context, cookieHash string) (b BrowserSession, err error) {
	err = s.lookup(ctx, func(t *tx) error {
		b, err = t.browser(cookieHash)
		return err
	})
	if err != nil || s.now().Sub(b.Session.LastUsedAt) < lastUsedEvery {
		return b, err
	}
	return b, s.write(ctx, func(t *tx) error { return t.usedBrowser(&b.Session) })
}

// usedBrowser records the use of a session in a browser that is still valid.
func (t *tx) usedBrowser(s *identity.Session) error {
	idle, _ := t.browserTimes.ends(t.now, s.Stay)
	idle = earlier(idle, s.EndsAt)
	n, err := t.exec(`UPDATE sessions SET last_used_at = $1, idle_expires_at = $2
		WHERE id = $3 AND ended_at IS NULL AND idle_expires_at > $1`, t.stamp(), FormatTime(idle), s.ID)
	if err == nil && n == 0 {
		return identity.ErrNoSession
	}
	s.LastUsedAt, s.ExpiresAt = t.now, idle
	return err
}

// EndBrowserSession ends the session of a cookie, as a logout does, and returns its id
// and the front-channel logout URIs of its clients. One that has ended or is unknown is
// left unchanged, without an error.
func (s *Store) EndBrowserSession(ctx context.Context, act Act, cookieHash string) (id string, tell []string, err error) {
	err = s.write(ctx, func(t *tx) error {
		id, tell = "", nil
		var user, session string
		found, err := t.get([]any{&user, &session}, "SELECT user_id, id FROM sessions WHERE cookie_hash = $1", cookieHash)
		if err != nil || !found {
			return err
		}
		ended, err := t.end(EndLogout, subjects{userID: user, sessionID: session})
		if err != nil || !ended {
			return err
		}
		id = session
		if tell, err = t.frontchannel(id); err != nil {
			return err
		}
		act.By, act.Detail = act.By.AsUser(user), "session "+id
		return t.doneOwn(act)
	})
	return id, tell, err
}

// frontchannel returns the front-channel logout URIs of the clients that have, or had, a
// family of the session.
func (t *tx) frontchannel(sessionID string) (uris []string, err error) {
	clients, err := collect(t, scanText, `SELECT DISTINCT c.metadata FROM refresh_families f JOIN clients c ON c.id = f.client_id
		WHERE f.session_id = $1 AND c.status = 'active' AND c.metadata LIKE '%"frontchannel_logout_uri":%'`, sessionID)
	for _, metadata := range clients {
		var c oauth.Client
		if err := json.Unmarshal([]byte(metadata), &c); err != nil {
			return nil, fmt.Errorf("read the metadata of a client: %w", err)
		}
		if c.FrontchannelLogoutURI != "" {
			uris = append(uris, c.FrontchannelLogoutURI)
		}
	}
	slices.Sort(uris)
	return uris, err
}

// BrowserTimes are how long sessions in browsers last.
type BrowserTimes struct {
	Idle time.Duration // after the last use; 0: DefaultBrowserIdle
	Max  time.Duration // after the sign-in; 0: DefaultBrowserMax
}

// The times of sessions in browsers.
const (
	DefaultBrowserIdle = 24 * time.Hour
	DefaultBrowserMax  = 14 * 24 * time.Hour

	// With "stay signed in".
	stayIdle = 7 * 24 * time.Hour
	stayMax  = 90 * 24 * time.Hour
)

// ends returns when a session ends that was used and signed in to now. "Stay signed
// in" never shortens it.
func (b BrowserTimes) ends(now time.Time, stay bool) (idle, end time.Time) {
	lasts, most := b.Idle, b.Max
	if lasts == 0 {
		lasts = DefaultBrowserIdle
	}
	if most == 0 {
		most = DefaultBrowserMax
	}
	if stay {
		lasts, most = max(lasts, stayIdle), max(most, stayMax)
	}
	end = now.Add(most)
	return earlier(now.Add(lasts), end), end
}

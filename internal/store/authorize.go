package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// AuthorizationLifetime is how long an authorization request waits for the user.
const AuthorizationLifetime = 10 * time.Minute

// replacedCounts is for how long AuthorizationRef.Replaced lets a secret count.
const replacedCounts = time.Minute

// How long requests stay after their end.
const (
	// endedStay is how long after its begin a request of the browser is known, so that a
	// user who is late finds the way to the client. A larger one than
	// maxEnded bytes is forgotten when it expires: a flood of them would fill the disk.
	endedStay = time.Hour
	maxEnded  = 2 << 10

	// usedCodesStay is how long a used code is known, so that a second use ends what was
	// issued from the first. Nothing was issued for one that was not used.
	usedCodesStay = time.Hour
)

// The refusals of an authorization request.
var (
	// ErrNoAuthorization refuses a request that is unknown, has expired, has its response
	// already, or belongs to another browser.
	ErrNoAuthorization = fault.New(fault.NotFound, "authorization_not_found",
		"this sign-in was started in another browser or has expired; start again at the application")

	// ErrTooManyAuthorizations refuses a request while there are too many.
	ErrTooManyAuthorizations = fault.New(fault.Throttled, "rate_limited", "too many sign-ins are in progress; try again later")
)

// EndedAuthorization is the ErrNoAuthorization of a request of this very browser: it has
// its response, or has expired.
type EndedAuthorization struct {
	Client      oauth.Client
	RedirectURI string
	UILocales   []string
	SignedIn    bool // its code was issued, in the session of the browser
}

// Error is the text of ErrNoAuthorization.
func (*EndedAuthorization) Error() string { return ErrNoAuthorization.Error() }

// Unwrap returns ErrNoAuthorization.
func (*EndedAuthorization) Unwrap() error { return ErrNoAuthorization }

// AuthorizationRef is an authorization request as a browser presents it.
type AuthorizationRef struct {
	ID          string
	BrowserHash string // of the secret that the browser has; empty: none
	SessionID   string // of the session that the browser's cookie names; empty: none

	// Replaced lets a secret count that a sign-in has replaced less than a minute ago: the
	// response with the new one may not have reached the browser, which sent the form again.
	Replaced bool
}

// NewAuthorization is an authorization request to be stored.
type NewAuthorization struct {
	ID      string
	Request oauth.AuthorizationRequest
	Network string

	// Presented is the hash of the secret that the browser has, which it keeps when an open
	// request belongs to it; otherwise it gets that of Browser. Both empty: the request
	// belongs to the first browser that asks for it.
	Presented, Browser string

	PerNetwork int // open requests of a network: beyond it its oldest one goes; 0: no limit
	InAll      int // open requests: beyond it none is stored; 0: no limit
}

// Decisions are what was decided about an authorization request, by a user in a browser
// with that session. They do not count in another session.
type Decisions struct {
	SessionID string `json:"sid,omitempty"`
	SignedIn  bool   `json:"signed_in,omitempty"` // for this request
	Chosen    bool   `json:"chosen,omitempty"`    // the user continues with this account
	Consented string `json:"consented,omitempty"` // scopes that were allowed for this request
	Another   bool   `json:"another,omitempty"`   // the user wants to sign in with another account

	// What the browser presented at the sign-in that replaced its secret.
	Replaced   string    `json:"replaced,omitempty"`
	ReplacedAt time.Time `json:"replaced_at,omitzero"`
}

// Authorization is an authorization request with all that decides about it.
type Authorization struct {
	ID        string
	Request   oauth.AuthorizationRequest
	Decided   Decisions
	CreatedAt time.Time
	Client    oauth.Client
	Replaced  bool // AuthorizationRef.Replaced has let the secret count

	browser string // the hash of its secret

	// Of the session in the browser; zero: it has none.
	SessionID string
	AuthTime  time.Time
	Methods   []string // as in the claim amr
	ACR       string
	User      identity.User
	Groups    []string // ids, sorted
	Granted   string   // scopes that the user allowed the client before

	sessionEnd, lastUsed time.Time
	stay                 bool // "stay signed in"
}

// openRequest is the condition on requests without a response that have not expired; $1
// is the time.
const openRequest = "code_hash IS NULL AND expires_at > $1"

// Authorizing returns what decides about a request of the client, but the request, in the
// browser with the session cookie of that hash, before anything is stored; empty: it has
// none. It is identity.ErrNoClient when there is no client.
func (s *Store) Authorizing(ctx context.Context, clientID, cookieHash string) (a Authorization, err error) {
	err = s.lookup(ctx, func(t *tx) error { // what is issued is decided again in its transaction
		a = Authorization{CreatedAt: t.now}
		a.Request.ClientID = clientID
		return t.authorizing(&a, authorizingByCookie, cookieHash)
	})
	return a, err
}

// Authorization returns an open request of the browser with all that decides about it.
func (s *Store) Authorization(ctx context.Context, ref AuthorizationRef) (a Authorization, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		if a, err = t.authorization(ref, unlocked); err != nil {
			return err
		}
		_, err = t.get([]any{&a.Client.LogoURI}, "SELECT logo FROM clients WHERE id = $1", a.Client.ID)
		return err
	})
	return a, err
}

// authorization reads an open request of the browser; lock is forUpdate or unlocked.
func (t *tx) authorization(ref AuthorizationRef, lock func(string) string) (a Authorization, err error) {
	if ref.BrowserHash == "" {
		return a, ErrNoAuthorization
	}
	var request, decided, session string
	var expires time.Time
	var answered bool
	found, err := t.get([]any{&a.ID, &request, &decided, &a.browser, &session, timeColumn{&a.CreatedAt}, timeColumn{&expires}, &answered},
		`SELECT a.id, a.request, a.decided, COALESCE(a.browser_hash, ''), COALESCE(a.session_id, ''), a.created_at, a.expires_at,
		a.code_hash IS NOT NULL FROM authorization_requests a WHERE a.id = $1`+lock("a"), ref.ID)
	if err == nil && !found {
		err = ErrNoAuthorization
	}
	if err == nil {
		err = decodeAuthorization(request, decided, &a)
	}
	if err == nil && a.browser != ref.BrowserHash {
		a.Replaced = ref.Replaced && a.Decided.Replaced == ref.BrowserHash && t.now.Before(a.Decided.ReplacedAt.Add(replacedCounts))
		if !a.Replaced {
			err = ErrNoAuthorization
		}
	}
	if err == nil {
		err = t.completeAuthorization(&a, ref.SessionID, "")
	}
	if err == nil && (answered || !expires.After(t.now)) {
		err = &EndedAuthorization{
			Client: a.Client, RedirectURI: a.Request.RedirectURI, UILocales: a.Request.UILocales, SignedIn: answered && a.SessionID != "" && a.SessionID == session,
		}
	}
	if err != nil {
		return Authorization{}, err
	}
	return a, nil
}

func decodeAuthorization(request, decided string, a *Authorization) error {
	if err := json.Unmarshal([]byte(request), &a.Request); err != nil {
		return fmt.Errorf("stored authorization request is malformed: %w", err)
	}
	if decided == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(decided), &a.Decided); err != nil {
		return fmt.Errorf("stored decisions are malformed: %w", err)
	}
	return nil
}

// What decides about a request of the client $3 in a session that is valid at $2. It is
// one statement, since each sign-in at a client makes it three times.
const (
	authorizing = "SELECT " + clientColumns + ", " + claimsColumns + `,
			s.id, s.auth_time, s.amr, s.acr, s.expires_at, s.last_used_at, s.stay, COALESCE(n.scope, '')
		FROM ` + userTables + ` JOIN sessions s ON s.user_id = u.id
		JOIN clients c ON c.id = $3 LEFT JOIN organizations co ON co.id = c.org_id
		LEFT JOIN consents n ON n.user_id = u.id AND n.client_id = $3
		WHERE s.ended_at IS NULL AND s.idle_expires_at > $2 AND s.expires_at > $2`
	authorizingInSession = authorizing + " AND s.id = $1"
	authorizingByCookie  = authorizing + " AND s.cookie_hash = $1"
)

// completeAuthorization reads the client without its logo, and the session with its user
// if it is still valid and the user may sign in; lock is for the aliases u, c and s, in that
// order, as all grants and what ends them lock.
func (t *tx) completeAuthorization(a *Authorization, sessionID, lock string) error {
	return t.authorizing(a, authorizingInSession+lock, sessionID)
}

// authorizing is completeAuthorization with one of the statements for the session that
// the value names.
func (t *tx) authorizing(a *Authorization, statement, value string) (err error) {
	found, before := false, *a
	if value != "" {
		err = t.each(func(r scanner) (err error) {
			found = true
			a.Client, err = t.scanKnownClient(r, append(claimsDest(&a.User, &a.Groups),
				&a.SessionID, timeColumn{&a.AuthTime}, (*fieldsColumn)(&a.Methods), &a.ACR,
				timeColumn{&a.sessionEnd}, timeColumn{&a.lastUsed}, &a.stay, &a.Granted)...)
			return err
		}, statement, value, t.stamp(), a.Request.ClientID)
	}
	switch {
	case err != nil:
	case !found:
		a.Client, err = t.clientAlone(a.Request.ClientID, "")
	case !identity.CanSignIn(a.User):
		before.Client = a.Client
		*a = before
	}
	return err
}

// InsertAuthorization stores a request and reports whether the browser keeps the secret
// that it presented. Beyond the bounds it is ErrTooManyAuthorizations, or replaces the
// oldest request of its network.
func (s *Store) InsertAuthorization(ctx context.Context, n NewAuthorization) (kept bool, err error) {
	if err := s.roomForAuthorization(ctx, n.InAll); err != nil {
		return false, err
	}
	err = s.write(ctx, func(t *tx) error {
		if kept, err = t.browserKeeps(n.Presented); err != nil {
			return err
		}
		browser := n.Browser
		if kept {
			browser = n.Presented
		}
		if err := t.limitAuthorizations(n); err != nil {
			return err
		}
		request, stays := n.Request.Encode(), endedStay
		if len(request) > maxEnded {
			stays = AuthorizationLifetime
		}
		_, err := t.exec(`INSERT INTO authorization_requests (id, client_id, request, browser_hash, network, created_at, expires_at, purge_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, n.ID, n.Request.ClientID, request, text(browser), n.Network,
			t.stamp(), FormatTime(t.now.Add(AuthorizationLifetime)), FormatTime(t.now.Add(stays)))
		return err
	})
	return kept, err
}

// browserKeeps reports whether an open request belongs to the secret: only this server
// makes those, so that another site cannot choose one for the browser.
func (t *tx) browserKeeps(presented string) (kept bool, err error) {
	if presented == "" {
		return false, nil
	}
	var one int64
	return t.get([]any{&one}, "SELECT 1 FROM authorization_requests WHERE "+openRequest+" AND browser_hash = $2 LIMIT 1", t.stamp(), presented)
}

// limitAuthorizations deletes the oldest open requests of the network beyond its limit.
func (t *tx) limitAuthorizations(n NewAuthorization) error {
	if n.PerNetwork == 0 {
		return nil
	}
	_, err := t.exec(`DELETE FROM authorization_requests WHERE id IN (SELECT id FROM authorization_requests
		WHERE network = $1 AND code_hash IS NULL AND created_at > $2 ORDER BY created_at DESC LIMIT $3 OFFSET $4)`,
		n.Network, FormatTime(t.now.Add(-AuthorizationLifetime)), endedAtOnce, n.PerNetwork-1)
	return err
}

// BindAuthorization gives a request without a browser to the one that asks for it first,
// and reports whether that keeps the secret that it presented, as InsertAuthorization
// does. Of any number of calls for one request exactly one succeeds.
func (s *Store) BindAuthorization(ctx context.Context, id, presented, browser string) (kept bool, err error) {
	const unbound = openRequest + " AND id = $2 AND browser_hash IS NULL"
	err = s.lookup(ctx, func(t *tx) error { // anyone can make up an id, which must not wait for the writer
		var one int64
		found, err := t.get([]any{&one}, "SELECT 1 FROM authorization_requests WHERE "+unbound, t.stamp(), id)
		if err == nil && !found {
			err = ErrNoAuthorization
		}
		return err
	})
	if err != nil {
		return false, err
	}
	err = s.write(ctx, func(t *tx) error {
		if kept, err = t.browserKeeps(presented); err != nil {
			return err
		}
		owner := browser
		if kept {
			owner = presented
		}
		n, err := t.exec("UPDATE authorization_requests SET browser_hash = $3 WHERE "+unbound, t.stamp(), id, owner)
		if err == nil && n != 1 {
			err = ErrNoAuthorization
		}
		return err
	})
	return kept, err
}

// DecideAuthorization records a decision of the browser's user: decide changes
// a.Decided, or refuses. newBrowser is the hash of another secret of the browser, for all its
// requests; empty: it keeps the one it has.
func (s *Store) DecideAuthorization(
	ctx context.Context, ref AuthorizationRef, newBrowser string, decide func(a *Authorization) error,
) error {
	return s.write(ctx, func(t *tx) error {
		a, err := t.authorization(ref, t.forUpdate)
		if err == nil {
			err = decide(&a)
		}
		if newBrowser != "" {
			a.Decided.Replaced, a.Decided.ReplacedAt = ref.BrowserHash, t.now
		}
		if err == nil {
			err = t.setDecided(a)
		}
		if err != nil || newBrowser == "" {
			return err
		}
		_, err = t.exec("UPDATE authorization_requests SET browser_hash = $1 WHERE browser_hash = $2", newBrowser, a.browser)
		return err
	})
}

func (t *tx) setDecided(a Authorization) error {
	decided, err := json.Marshal(a.Decided)
	if err != nil {
		return err
	}
	_, err = t.exec("UPDATE authorization_requests SET decided = $1, session_id = $2 WHERE id = $3",
		string(decided), text(a.Decided.SessionID), a.ID)
	return err
}

// EndAuthorization ends an open request of the browser without a code, and returns it.
func (s *Store) EndAuthorization(ctx context.Context, ref AuthorizationRef) (a Authorization, err error) {
	err = s.write(ctx, func(t *tx) error {
		if a, err = t.authorization(ref, t.forUpdate); err != nil {
			return err
		}
		_, err = t.exec("UPDATE authorization_requests SET expires_at = $1 WHERE id = $2", t.stamp(), a.ID)
		return err
	})
	return a, err
}

// text stores an empty text as NULL.
func text(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

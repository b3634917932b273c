package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Cookie is the value of the cookie that a browser presents for its session: 256
// random bits. The store has its hash only. Printing redacts it.
type Cookie string

// cookieChars is the length of a Cookie.
const cookieChars = 43

func newCookie() Cookie {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails: it ends the process instead
	return Cookie(base64.RawURLEncoding.EncodeToString(secret[:]))
}

// Hash is the form in which the store has the cookie; empty for text that cannot be one.
func (c Cookie) Hash() string {
	if len(c) != cookieChars {
		return ""
	}
	sum := sha256.Sum256([]byte(c))
	return hex.EncodeToString(sum[:])
}

// String hides the cookie.
func (Cookie) String() string { return "[redacted]" }

// GoString hides the cookie from %#v.
func (Cookie) GoString() string { return "[redacted]" }

// LogValue hides the cookie from slog.
func (Cookie) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Browser is the session of a browser, with its user. The zero value is none.
type Browser = store.BrowserSession

// StartBrowser turns a proof into a session of the browser that presents the cookie;
// empty: it has none. When the presented session is of the same user, it continues: it
// keeps its id, takes the time and methods of the proof, and only the new cookie opens
// it. A session of another user ends.
//
// Its transaction checks again that the user may sign in, and that their credentials
// are still those that were proved.
func (s *Sessions) StartBrowser(ctx context.Context, by identity.Actor, proof identity.Proof, presented Cookie, stay bool) (Cookie, Browser, error) {
	by.UserAgent = storable(by.UserAgent)
	cookie := newCookie()
	b, err := s.store.StartBrowserSession(ctx, store.Act{Action: identity.ActionLogin, By: by}, proof, store.BrowserSignIn{
		CookieHash: cookie.Hash(), PresentedHash: presented.Hash(), Stay: stay, Limit: s.limit,
	})
	if err != nil {
		if fault.KindOf(err) == fault.Unauthenticated { // suspended, or other credentials, since the proof
			s.refused(ctx, by, proof)
		}
		return "", Browser{}, fmt.Errorf("start browser session: %w", err)
	}
	return cookie, b, nil
}

// CookieLifetime is for how long the browser keeps the cookie of a session that was
// just signed in to; 0: until it is closed.
func CookieLifetime(b Browser) time.Duration {
	if !b.Session.Stay {
		return 0
	}
	return b.Session.EndsAt.Sub(b.Session.LastUsedAt)
}

// Browser returns the session of the cookie, and records its use. found is false when
// the cookie is unknown, when the session has ended or expired, and when its user may
// not sign in.
func (s *Sessions) Browser(ctx context.Context, presented Cookie) (b Browser, found bool, err error) {
	if presented.Hash() == "" {
		return Browser{}, false, nil
	}
	b, err = s.store.BrowserSession(ctx, presented.Hash())
	switch {
	case err != nil && fault.KindOf(err) == fault.NotFound:
		return Browser{}, false, nil
	case err != nil:
		return Browser{}, false, fmt.Errorf("read browser session: %w", err)
	}
	return b, true, nil
}

// ChangePasswordInBrowser replaces the password of the user of proof, who is the actor. All
// their sessions end except the actor's, which only the new cookie opens.
func (s *Sessions) ChangePasswordInBrowser(ctx context.Context, act store.Act, proof identity.Proof, hash identity.PasswordHash) (Cookie, error) {
	cookie := newCookie()
	if err := s.store.ChangePasswordInBrowser(ctx, act, proof, hash, cookie.Hash()); err != nil {
		return "", err
	}
	return cookie, nil
}

// EndBrowser ends the session of the cookie. It is no error if it has ended or is
// unknown. frames are the addresses that the page after it loads, so that clients notice
// in the same browser (OpenID Connect Front-Channel Logout 1.0, section 2).
func (s *Sessions) EndBrowser(ctx context.Context, by identity.Actor, presented Cookie) (frames []string, err error) {
	if presented.Hash() == "" {
		return nil, nil
	}
	act := store.Act{Action: identity.ActionLogout, By: by}
	id, tell, err := s.store.EndBrowserSession(ctx, act, presented.Hash())
	if err != nil {
		return nil, fmt.Errorf("sign out: %w", err)
	}
	return s.frames(id, tell), nil
}

// frames are the front-channel logout URIs of clients for the session that has ended.
func (s *Sessions) frames(sessionID string, tell []string) (frames []string) {
	for _, address := range tell {
		u, err := url.Parse(address)
		if err != nil {
			continue // it was checked when it was stored
		}
		more := url.Values{"iss": {s.issuer}, "sid": {sessionID}}.Encode()
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+more, "&")
		frames = append(frames, u.String())
	}
	return frames
}

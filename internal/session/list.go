package session

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/mileusna/useragent"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// MaxLimit is the maximum length of a page of a list.
const MaxLimit = store.MaxPage

// Filter pages a list. The zero Filter is its first MaxLimit elements.
type Filter struct {
	Limit  int    // 1 to MaxLimit; 0: MaxLimit
	Cursor string // Next of the previous page; empty: the first page
}

// Page is one page of sessions; Next is empty on the last one.
type Page = store.Page[identity.Session]

// List returns the sessions of the user that have not ended, first started first. The
// actor is the user or an administrator of them.
func (s *Sessions) List(ctx context.Context, by identity.Actor, userID string, f Filter) (Page, error) {
	if f.Limit < 0 || f.Limit > MaxLimit {
		return Page{}, fault.BadField("limit", fmt.Sprintf("limit must be from 1 to %d", MaxLimit))
	}
	if !identity.ValidID(userID) {
		return Page{}, identity.ErrNoUser
	}
	page, err := s.store.Sessions(ctx, by, userID, store.ListFilter{Limit: f.Limit, Cursor: f.Cursor})
	if err != nil {
		return Page{}, fmt.Errorf("list sessions: %w", err)
	}
	return page, nil
}

// EndOne ends a session of the user. The actor is the user or an administrator of
// them. A session that has ended, or is another user's, is NotFound.
func (s *Sessions) EndOne(ctx context.Context, by identity.Actor, userID, sessionID string) error {
	if !identity.ValidID(userID) {
		return identity.ErrNoUser
	}
	if !identity.ValidID(sessionID) {
		return identity.ErrNoSession
	}
	if err := s.mayEnd(ctx, by, userID); err != nil {
		return err
	}
	act := store.Act{Action: identity.ActionEndSession, By: by, Detail: "session " + sessionID}
	return s.ended(ctx, act, userID, s.store.EndUserSession(ctx, act, userID, sessionID))
}

// EndAll ends all sessions of the user, the actor's own too. The actor is the user or
// an administrator of them. frames are those of EndBrowser, for the actor's own session.
func (s *Sessions) EndAll(ctx context.Context, by identity.Actor, userID string) (frames []string, err error) {
	if !identity.ValidID(userID) {
		return nil, identity.ErrNoUser
	}
	if err := s.mayEnd(ctx, by, userID); err != nil {
		return nil, err
	}
	act := store.Act{Action: identity.ActionEndSessions, By: by}
	tell, err := s.store.EndUserSessions(ctx, act, userID)
	return s.frames(by.SessionID, tell), s.ended(ctx, act, userID, err)
}

// mayEnd is Throttled after too many acts of an administrator. What users do with their own
// sessions is limited by their sign-ins.
func (s *Sessions) mayEnd(ctx context.Context, by identity.Actor, userID string) error {
	if by.UserID() == userID {
		return nil
	}
	if err := s.throttle.Change(ctx, by); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// ended adds the action to the error, and records a refusal of the actor. The
// store has recorded a success.
func (s *Sessions) ended(ctx context.Context, act store.Act, targetID string, err error) error {
	if err == nil {
		return nil
	}
	s.audit.Refused(ctx, act, targetID, err)
	return fmt.Errorf("%s: %w", act.Action, err)
}

// maxDevice is how many characters of the name of a device are shown. Those of browsers
// and phones are shorter.
const maxDevice = 60

// Device names the program and the device of a User-Agent for users, such as "Firefox
// on Linux"; empty: unknown. The client chose the text, so what is longer than maxDevice is
// cut.
func Device(userAgent string) string {
	ua := useragent.Parse(userAgent)
	name := ua.Name
	if on := cmp.Or(ua.Device, ua.OS); on != "" {
		name = strings.TrimPrefix(name+" on "+on, " on ")
	}
	shown := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name))
	if len(shown) > maxDevice {
		return strings.TrimSpace(string(shown[:maxDevice-1])) + "…"
	}
	return string(shown)
}

package token_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/token"
)

// TestSessionsBehaveAsTheModel compares random histories of one user with the
// rules repeated in memory: of the refresh tokens of a session only the newest is
// valid, and only until the session ends.
func TestSessionsBehaveAsTheModel(t *testing.T) {
	w := open(t)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := &model{rt: rt, w: w, ctx: t, active: true}
		m.user = w.user(t, fmt.Sprintf("model-%d@pico.example", runs), identity.Viewer, identity.DefaultOrg)
		rt.Repeat(map[string]func(*rapid.T){
			"log in":   m.logIn,
			"refresh":  m.refresh,
			"replay":   m.replay,
			"log out":  m.logOut,
			"suspend":  m.suspend,
			"activate": m.activate,
			"demote":   m.changeRole,
			"reset":    m.reset,
			"wait":     m.wait,
			"":         m.checkRevoked,
		})
	})
}

// sessionModel is one session in the model.
type sessionModel struct {
	newest  string
	used    []string
	jtis    map[string]time.Time // expiry of the access tokens issued in it
	idleEnd time.Time
	end     time.Time
	ended   bool
}

type model struct {
	rt       *rapid.T
	w        *world
	ctx      *testing.T
	user     identity.User
	active   bool
	sessions []*sessionModel
	hashes   int
}

func (m *model) now() time.Time { return m.w.clock.Now() }

func (m *model) good(s *sessionModel) bool {
	return !s.ended && m.active && m.now().Before(s.idleEnd) && m.now().Before(s.end)
}

// took records the tokens that a session issued.
func (m *model) took(s *sessionModel, p token.Pair) {
	c := m.w.claims(m.ctx, p)
	s.newest = p.RefreshToken
	s.jtis[c["jti"].(string)] = time.Unix(int64(c["exp"].(float64)), 0)
	s.idleEnd = m.now().Add(token.DefaultRefreshLifetime)
}

func (m *model) pick(rt *rapid.T) *sessionModel {
	if len(m.sessions) == 0 {
		rt.Skip("no session")
	}
	return rapid.SampledFrom(m.sessions).Draw(rt, "session")
}

func (m *model) logIn(rt *rapid.T) {
	p, err := m.w.Issue(m.ctx.Context(), web, m.user)
	if !m.active {
		if !faultIs(err, fault.Unauthenticated, "invalid_credentials") {
			rt.Fatalf("login of a suspended user: %v", err)
		}
		return
	}
	if err != nil {
		rt.Fatalf("login: %v", err)
	}
	s := &sessionModel{jtis: map[string]time.Time{}, end: m.now().Add(session.DefaultMax)}
	m.took(s, p)
	m.sessions = append(m.sessions, s)
}

func (m *model) refresh(rt *rapid.T) {
	s := m.pick(rt)
	p, err := m.w.Rotate(m.ctx.Context(), web, s.newest)
	if !m.good(s) {
		if !faultIs(err, fault.Unauthenticated, "invalid_token") {
			rt.Fatalf("refresh of an ended session: %v", err)
		}
		return
	}
	if err != nil {
		rt.Fatalf("refresh: %v", err)
	}
	s.used = append(s.used, s.newest)
	m.took(s, p)
}

func (m *model) replay(rt *rapid.T) {
	s := m.pick(rt)
	if len(s.used) == 0 {
		rt.Skip("no used token")
	}
	_, err := m.w.Rotate(m.ctx.Context(), web, rapid.SampledFrom(s.used).Draw(rt, "used"))
	if !faultIs(err, fault.Unauthenticated, "invalid_token") {
		rt.Fatalf("replay: %v", err)
	}
	if m.now().Before(s.end) {
		s.ended = true
	}
}

func (m *model) logOut(rt *rapid.T) {
	s := m.pick(rt)
	presented := rapid.SampledFrom(append([]string{s.newest}, s.used...)).Draw(rt, "token")
	if err := m.w.EndByRefreshToken(m.ctx.Context(), web, presented); err != nil {
		rt.Fatalf("logout: %v", err)
	}
	s.ended = true
}

func (m *model) endAll() {
	for _, s := range m.sessions {
		s.ended = true
	}
}

func (m *model) setStatus(status identity.Status) {
	if _, err := m.w.store.SetStatus(m.ctx.Context(), m.w.act(), m.user.ID, status); err != nil {
		m.rt.Fatalf("set status: %v", err)
	}
	m.active = status == identity.Active
}

func (m *model) suspend(*rapid.T) {
	m.setStatus(identity.Suspended)
	m.endAll()
}

func (m *model) activate(*rapid.T) { m.setStatus(identity.Active) }

func (m *model) changeRole(rt *rapid.T) {
	role := rapid.SampledFrom(identity.Roles()[:3]).Draw(rt, "role")
	if _, err := m.w.store.SetRole(m.ctx.Context(), m.w.act(), m.user.ID, role); err != nil {
		rt.Fatalf("set role: %v", err)
	}
	if role != m.user.Role {
		m.endAll()
	}
	m.user.Role = role
}

func (m *model) reset(rt *rapid.T) {
	m.hashes++
	m.user.PasswordHash = identity.PasswordHash(fmt.Sprintf("hash %d", m.hashes))
	if err := m.w.store.ResetPassword(m.ctx.Context(), m.w.act(), m.user.ID, m.user.PasswordHash); err != nil {
		rt.Fatalf("reset: %v", err)
	}
	m.user.CredentialsVersion++
	m.endAll()
}

func (m *model) wait(rt *rapid.T) {
	minutes := rapid.OneOf(rapid.IntRange(1, 30), rapid.IntRange(60, 8*24*60)).Draw(rt, "minutes")
	m.w.clock.Advance(time.Duration(minutes) * time.Minute)
}

// checkRevoked compares the list for verifiers with the sessions of the model.
func (m *model) checkRevoked(rt *rapid.T) {
	list, err := m.w.RevokedJTIs(m.ctx.Context())
	if err != nil {
		rt.Fatalf("revoked: %v", err)
	}
	listed := map[string]bool{}
	for _, jti := range list {
		listed[jti] = true
	}
	for _, s := range m.sessions {
		for jti, exp := range s.jtis {
			// A verifier's clock may be a minute behind.
			if want := s.ended && exp.Add(time.Minute).After(m.now()); listed[jti] != want {
				rt.Fatalf("access token listed as revoked: %v, want %v (ended %v, expires %v, now %v)", listed[jti], want, s.ended, exp, m.now())
			}
		}
	}
}

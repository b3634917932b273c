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

// TestSessionsBehaveAsTheModel plays random lives of one person against the
// rules written a second time, in memory: of the tokens of a session exactly
// the newest is good, and only while the session is.
func TestSessionsBehaveAsTheModel(t *testing.T) {
	w := open(t)
	lives := 0
	rapid.Check(t, func(rt *rapid.T) {
		lives++
		m := &model{rt: rt, w: w, ctx: t, active: true}
		m.user = w.person(t, fmt.Sprintf("life-%d@pico.example", lives), identity.Viewer, identity.DefaultOrg)
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

// life is one session as the rules see it.
type life struct {
	newest  string
	spent   []string
	jtis    map[string]time.Time // expiry of the access tokens issued in it
	idleEnd time.Time
	end     time.Time
	over    bool
}

type model struct {
	rt       *rapid.T
	w        *world
	ctx      *testing.T
	user     identity.User
	active   bool
	sessions []*life
	hashes   int
}

func (m *model) now() time.Time { return m.w.clock.Now() }

func (m *model) good(s *life) bool {
	return !s.over && m.active && m.now().Before(s.idleEnd) && m.now().Before(s.end)
}

// took notes a pair that a session yielded.
func (m *model) took(s *life, p token.Pair) {
	c := m.w.claims(m.ctx, p)
	s.newest = p.RefreshToken
	s.jtis[c["jti"].(string)] = time.Unix(int64(c["exp"].(float64)), 0)
	s.idleEnd = m.now().Add(token.DefaultRefreshLife)
}

func (m *model) pick(rt *rapid.T) *life {
	if len(m.sessions) == 0 {
		rt.Skip("nobody is logged in")
	}
	return rapid.SampledFrom(m.sessions).Draw(rt, "session")
}

func (m *model) logIn(rt *rapid.T) {
	p, err := m.w.Issue(m.ctx.Context(), web, m.user)
	if !m.active {
		if !faultIs(err, fault.Unauthenticated, "invalid_credentials") {
			rt.Fatalf("login of a suspended person: %v", err)
		}
		return
	}
	if err != nil {
		rt.Fatalf("login: %v", err)
	}
	s := &life{jtis: map[string]time.Time{}, end: m.now().Add(session.DefaultMax)}
	m.took(s, p)
	m.sessions = append(m.sessions, s)
}

func (m *model) refresh(rt *rapid.T) {
	s := m.pick(rt)
	p, err := m.w.Rotate(m.ctx.Context(), web, s.newest)
	if !m.good(s) {
		if !faultIs(err, fault.Unauthenticated, "invalid_token") {
			rt.Fatalf("refresh of a session that is over: %v", err)
		}
		return
	}
	if err != nil {
		rt.Fatalf("refresh: %v", err)
	}
	s.spent = append(s.spent, s.newest)
	m.took(s, p)
}

func (m *model) replay(rt *rapid.T) {
	s := m.pick(rt)
	if len(s.spent) == 0 {
		rt.Skip("nothing is spent")
	}
	_, err := m.w.Rotate(m.ctx.Context(), web, rapid.SampledFrom(s.spent).Draw(rt, "spent"))
	if !faultIs(err, fault.Unauthenticated, "invalid_token") {
		rt.Fatalf("replay: %v", err)
	}
	if m.now().Before(s.end) {
		s.over = true
	}
}

func (m *model) logOut(rt *rapid.T) {
	s := m.pick(rt)
	presented := rapid.SampledFrom(append([]string{s.newest}, s.spent...)).Draw(rt, "token")
	if err := m.w.EndByRefreshToken(m.ctx.Context(), web, presented); err != nil {
		rt.Fatalf("logout: %v", err)
	}
	s.over = true
}

func (m *model) endAll() {
	for _, s := range m.sessions {
		s.over = true
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

// checkRevoked compares what pollers are told with what the sessions say.
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
			if want := s.over && exp.Add(time.Minute).After(m.now()); listed[jti] != want {
				rt.Fatalf("access token listed as revoked: %v, want %v (over %v, expires %v, now %v)", listed[jti], want, s.over, exp, m.now())
			}
		}
	}
}

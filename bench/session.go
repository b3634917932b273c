//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/pico-auth/pico-auth/bench/load"
	"github.com/pico-auth/pico-auth/bench/site"
)

const (
	loginPath     = "/api/v1/auth/login"
	refreshPath   = "/api/v1/auth/refresh"
	mePath        = "/api/v1/auth/me"
	keySetPath    = "/api/v1/auth/jwks"
	discoveryPath = "/.well-known/openid-configuration"
)

// session is that of a seeded user: its refresh token changes with each refresh.
type session struct {
	n      int
	rotate []byte // the request; the token in it is written over
	at     int    // where the token is in it
	access string // the latest access token; empty: none yet
	me     []byte // the request with it; nil: none yet
}

func newSession(n int) *session {
	token := site.Refresh(n)
	request := load.Request("POST", refreshPath, "", `{"refresh_token":"`+token+`"}`)
	return &session{n: n, rotate: request, at: bytes.LastIndex(request, []byte(token))}
}

// refresh uses the refresh token and keeps its successor.
func (s *session) refresh(c *load.Conn) error {
	status, body, err := c.Do(s.rotate)
	if err := judge(status, body, err); err != nil {
		return err
	}
	_, after, found := bytes.Cut(body, []byte(`"refresh_token":"`))
	if end := bytes.IndexByte(after, '"'); !found || end != len(site.Refresh(s.n)) {
		return fmt.Errorf("no refresh token of %d bytes in %q", len(site.Refresh(s.n)), body)
	}
	copy(s.rotate[s.at:], after[:len(site.Refresh(s.n))])
	return nil
}

// enter is refresh, and keeps the access token, too.
func (s *session) enter(c *load.Conn) error {
	status, body, err := c.Do(s.rotate)
	if err := judge(status, body, err); err != nil {
		return err
	}
	_, after, _ := bytes.Cut(body, []byte(`"access_token":"`))
	access, _, _ := bytes.Cut(after, []byte(`"`))
	s.access = string(access)
	s.me = load.Request("GET", mePath, s.access, "")
	_, after, _ = bytes.Cut(body, []byte(`"refresh_token":"`))
	if len(access) == 0 || len(after) < len(site.Refresh(s.n)) {
		return fmt.Errorf("no tokens in %q", body)
	}
	copy(s.rotate[s.at:], after[:len(site.Refresh(s.n))])
	return nil
}

// enterAll gets an access token for each of the sessions.
func enterAll(addr string, sessions []*session) error {
	c, err := load.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing is on it any more
	for _, s := range sessions {
		if err := s.enter(c); err != nil {
			return err
		}
	}
	return nil
}

// judge makes an error of every answer but 200.
func judge(status int, body []byte, err error) error {
	switch {
	case err != nil:
		return err
	case status == 200:
		return nil
	case status == 429:
		return load.ErrRefused
	case status >= 500:
		return fmt.Errorf("%w: %d %s", load.ErrFailed, status, body)
	default:
		return fmt.Errorf("the answer is %d %s", status, body)
	}
}

// step sends the same request again and again.
func step(request []byte) load.Step {
	return func(c *load.Conn) error {
		status, body, err := c.Do(request)
		if status == 304 {
			return err
		}
		return judge(status, body, err)
	}
}

func loginRequest(n int) []byte {
	return load.Request("POST", loginPath, "", fmt.Sprintf(`{"email":%q,"password":%q}`, site.Email(n), site.Password))
}

// logins are clients of which each logs in as another user.
func logins(clients int) []load.Step {
	steps := make([]load.Step, clients)
	for i := range steps {
		steps[i] = step(loginRequest(i + 1))
	}
	return steps
}

// refreshes are clients of which each keeps one session alive.
func refreshes(sessions []*session) []load.Step {
	steps := make([]load.Step, len(sessions))
	for i, s := range sessions {
		steps[i] = s.refresh
	}
	return steps
}

// readers are clients of which each asks who it is; the sessions were entered.
func readers(sessions []*session) []load.Step {
	steps := make([]load.Step, len(sessions))
	for i, s := range sessions {
		steps[i] = step(s.me)
	}
	return steps
}

// same is a number of clients that all send one request.
func same(clients int, request []byte) []load.Step {
	steps := make([]load.Step, clients)
	for i := range steps {
		steps[i] = step(request)
	}
	return steps
}

// say writes what a load was on this machine.
func say(r load.Result, what string) string {
	parts := []string{fmt.Sprintf("%.0f %s/s", r.Rate(), what)}
	if r.Rate() < 100 {
		parts[0] = fmt.Sprintf("%.1f %s/s", r.Rate(), what)
	}
	parts = append(parts, fmt.Sprintf("p50 %s, p99 %s, p999 %s ms", short(r, 50), short(r, 99), short(r, 99.9)))
	if r.Server > 0 {
		parts = append(parts, fmt.Sprintf("%.0f us of CPU each", micro(r.CPU())))
	}
	if r.Refused > 0 {
		parts = append(parts, fmt.Sprintf("%d refused", r.Refused))
	}
	if r.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d ANSWERED 5xx", r.Failed))
	}
	return strings.Join(parts, "; ")
}

// short is a percentile in milliseconds: three digits, all of them from 100 on.
func short(r load.Result, percentile float64) string {
	ms := milliseconds(r.Quantile(percentile))
	if ms >= 100 {
		return fmt.Sprintf("%.0f", ms)
	}
	return fmt.Sprintf("%.3g", ms)
}

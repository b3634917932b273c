package token_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/token"
)

func withRotations(perFamily, families int) option {
	return func(c *token.Config, _ *keyring.Config) {
		c.RotationsPerFamily, c.FamiliesPerUser = perFamily, families
	}
}

// throttled checks that a refresh is refused for now, and returns how long to wait.
func (w *world) throttled(t *testing.T, refresh string) time.Duration {
	t.Helper()
	_, err := w.Rotate(t.Context(), web, refresh)
	f, _ := errors.AsType[*fault.Error](err)
	if f == nil || f.Kind != fault.Throttled || f.Code != "rate_limited" {
		t.Fatalf("got %v", err)
	}
	return f.RetryAfter
}

func TestAFamilyHasABucketOfRotations(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		p, other := w.issue(t, u), w.issue(t, u)
		for range 5 {
			p = w.rotate(t, p.RefreshToken)
		}
		for range 3 { // a refusal does not mark the token used, and costs nothing
			if wait := w.throttled(t, p.RefreshToken); wait != time.Second {
				t.Errorf("wait %s", wait)
			}
		}
		other = w.rotate(t, other.RefreshToken)
		w.clock.Advance(time.Second)
		used := p.RefreshToken
		p = w.rotate(t, used)
		w.throttled(t, p.RefreshToken)
		w.clock.Advance(time.Hour)
		for range 5 {
			p = w.rotate(t, p.RefreshToken)
		}
		w.throttled(t, p.RefreshToken)
		if got := w.Stats(); got.Limited != 5 || got.Refused != 0 || got.Reused != 0 {
			t.Errorf("stats: %+v", got)
		}
		w.refuses(t, used) // reuse is not throttled
		w.clock.Advance(time.Second)
		w.refuses(t, p.RefreshToken)
		w.rotate(t, other.RefreshToken)
	}, withRotations(5, 0))
}

func TestRepeatedSuccessorsDoNotCountAsRotations(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := w.issue(t, w.viewer(t))
		next := w.rotate(t, first.RefreshToken)
		for range 10 {
			w.rotate(t, first.RefreshToken)
		}
		next = w.rotate(t, next.RefreshToken)
		w.throttled(t, next.RefreshToken)
	}, withRotations(2, 0), withGrace)
}

// A user who starts a session for each few refreshes has as many as their sessions.
func TestNewSessionsGiveAUserNoFurtherRotations(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		var last token.Pair
		for range 3 {
			last = w.issue(t, u)
			for range 2 {
				last = w.rotate(t, last.RefreshToken)
			}
		}
		last = w.issue(t, u)
		if wait := w.throttled(t, last.RefreshToken); wait != time.Second/3 {
			t.Errorf("wait %s", wait)
		}
		w.clock.Advance(time.Second / 3)
		w.rotate(t, last.RefreshToken)
	}, withRotations(2, 3))
}

func TestWithoutALimitRotationsAreFree(t *testing.T) {
	w := open(t, withRotations(0, 50))
	p := w.issue(t, w.viewer(t))
	for range 1100 {
		p = w.rotate(t, p.RefreshToken)
	}
}

func TestTheBucketsHaveABoundedMemory(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	if most := token.Buckets(now, 300_000, 0); most > 1<<16 {
		t.Errorf("a flood leaves %d buckets", most)
	}
	if most := token.Buckets(now, 100_000, time.Millisecond); most > 5000 {
		t.Errorf("1,000 rotations a second of different families leave %d buckets", most)
	}
}

// A code that is refused for now is not used: the client presents it again.
func TestASessionHasABucketOfWhatClientsStart(t *testing.T) {
	eachPortal(t, func(t *testing.T, p *portal) {
		c, u := p.client(t, nil), p.viewer(t)
		b := p.browser(t, u)
		for range 3 {
			p.grant(t, c, b, "openid")
		}
		a := p.authorization(t, c, b, "openid")
		for range 2 {
			_, err := p.MintForClient(t.Context(), token.ClientRequest{Client: c}, a)
			wantFault(t, err, fault.Throttled, "rate_limited")
			if f, _ := errors.AsType[*fault.Error](err); f == nil || f.RetryAfter != time.Second {
				t.Errorf("refused with %#v", err)
			}
		}
		p.grant(t, c, p.browser(t, u), "openid") // of another session
		if got := p.Stats(); got.Limited != 2 {
			t.Errorf("stats: %+v", got)
		}
		p.clock.Advance(time.Second)
		pair, err := p.MintForClient(t.Context(), token.ClientRequest{Client: c}, a)
		p.must(t, err)
		for range 3 { // its own bucket
			pair = p.refresh(t, token.ClientRequest{Client: c}, pair.RefreshToken)
		}
	}, withRotations(3, 0))
}

// What one client does with a user's tokens stops neither another client nor the JSON API.
func TestAClientDoesNotUseUpTheRotationsOfOthers(t *testing.T) {
	eachPortal(t, func(t *testing.T, p *portal) {
		greedy, other, u := token.ClientRequest{Client: p.client(t, nil)}, token.ClientRequest{Client: p.client(t, nil)}, p.viewer(t)
		b := p.browser(t, u)
		calm, login := p.grant(t, other.Client, b, "openid"), p.issue(t, u)
		for range 2 { // of nine that the user has, one is taken
			pair := p.grant(t, greedy.Client, p.browser(t, u), "openid")
			for range 3 {
				pair = p.refresh(t, greedy, pair.RefreshToken)
			}
		}
		last, err := p.MintForClient(t.Context(), greedy, p.authorization(t, greedy.Client, p.browser(t, u), "openid"))
		wantFault(t, err, fault.Throttled, "rate_limited")
		if last != (token.Pair{}) {
			t.Error("a client that has used up its part gets another family")
		}
		for range 2 {
			calm, login = p.refresh(t, other, calm.RefreshToken), p.rotate(t, login.RefreshToken)
		}
		login = p.rotate(t, login.RefreshToken)
		p.throttled(t, login.RefreshToken) // each has what one family has
		_, err = p.RotateForClient(t.Context(), web, other, calm.RefreshToken)
		wantFault(t, err, fault.Throttled, "rate_limited")
	}, withRotations(3, 3))
}

// One client that starts families without pause leaves the session what others need.
func TestAClientDoesNotUseUpTheSessionOfOthers(t *testing.T) {
	eachPortal(t, func(t *testing.T, p *portal) {
		greedy, other, u := p.client(t, nil), p.client(t, nil), p.viewer(t)
		b := p.browser(t, u)
		for range 3 {
			p.grant(t, greedy, b, "openid")
		}
		_, err := p.MintForClient(t.Context(), token.ClientRequest{Client: greedy}, p.authorization(t, greedy, b, "openid"))
		wantFault(t, err, fault.Throttled, "rate_limited")
		p.grant(t, other, b, "openid")
	}, withRotations(3, 0))
}

// While no client is refused, none is looked up for it: only those that hurt others pay.
func TestAUserOfManyFamiliesCostsNoOneARead(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	if token.AsksAfter(now, 100, 10, 999) {
		t.Error("a client that has used up its own part, and not that of the user, makes others read")
	}
	if !token.AsksAfter(now, 100, 10, 1000) {
		t.Error("a client is not asked about although the user has no rotation left")
	}
}

package token_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/token"
)

func TestRotationChainKeepsTheSessionAndUsesEachTokenOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		p := w.issue(t, w.viewer(t))
		sid := w.claims(t, p)["sid"]
		seen := map[string]bool{p.RefreshToken: true}
		for range 25 {
			w.clock.Advance(time.Minute)
			p = w.rotate(t, p.RefreshToken)
			if seen[p.RefreshToken] {
				t.Fatal("a refresh token was issued again")
			}
			seen[p.RefreshToken] = true
			c := w.claims(t, p)
			if c["sid"] != sid || c["iat"] != float64(w.clock.Now().Unix()) {
				t.Fatalf("sid %v, iat %v", c["sid"], c["iat"])
			}
		}
		if got := w.Stats(); got != (token.Stats{Issued: 1, Rotated: 25}) {
			t.Errorf("stats: %+v", got)
		}
	})
}

func TestAUsedTokenEndsItsWholeFamilyAndNoOther(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		bystander := w.issue(t, u)
		first := w.issue(t, u)
		second := w.rotate(t, first.RefreshToken)
		third := w.rotate(t, second.RefreshToken)

		w.refuses(t, first.RefreshToken)
		w.refuses(t, third.RefreshToken)
		w.rotate(t, bystander.RefreshToken)

		if got := w.Stats(); got.Reused != 1 || got.Refused != 1 {
			t.Errorf("stats: %+v", got)
		}
		if rows := w.events(t, identity.ActionReuse); len(rows) != 1 || rows[0].Address != web.Address {
			t.Errorf("audit rows of the reuse: %+v", rows)
		}
		if n := strings.Count(w.log.String(), `"msg":"`+string(identity.ActionReuse)+`"`); n != 1 {
			t.Errorf("%d log records of one reuse", n)
		}
		if _, err := w.bearer(t, third); !errors.Is(err, identity.ErrInvalidToken) {
			t.Errorf("the family's access token is still accepted: %v", err)
		}
	})
}

func TestRotateIsSingleUseUnderConcurrency(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		for range 5 {
			p := w.issue(t, u)
			var wins, refusals int
			var mu sync.Mutex
			var all sync.WaitGroup
			start := make(chan struct{})
			for range 32 {
				all.Go(func() {
					<-start
					_, err := w.Rotate(t.Context(), web, p.RefreshToken)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						wins++
					case faultIs(err, fault.Unauthenticated, "invalid_token"):
						refusals++
					default:
						t.Errorf("Rotate: %v", err)
					}
				})
			}
			close(start)
			all.Wait()
			if wins != 1 || refusals != 31 {
				t.Errorf("%d succeeded, %d refused", wins, refusals)
			}
		}
	})
}

func TestAnInvalidRefreshTokenIsRefusedWithoutALookup(t *testing.T) {
	w := open(t)
	p := w.issue(t, w.viewer(t))
	for name, presented := range map[string]string{
		"nothing": "", "unknown": strings.Repeat("A", 43), "an access token": p.AccessToken,
		"a padded one": p.RefreshToken + "=", "with white space": " " + p.RefreshToken, "not text": "\xff\x00",
		"too long": strings.Repeat("x", 513), "megabytes": strings.Repeat("x", 4<<20),
	} {
		t.Run(name, func(t *testing.T) { w.refuses(t, presented) })
	}
	if got := w.Stats(); got.Refused != 8 || got.Reused != 0 {
		t.Errorf("stats: %+v", got)
	}
	w.rotate(t, p.RefreshToken)
}

func TestSuspensionBetweenLoginAndRefreshEndsTheSession(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		p := w.issue(t, u)
		_, err := w.store.SetStatus(t.Context(), w.act(), u.ID, identity.Suspended)
		w.must(t, err)
		w.refuses(t, p.RefreshToken)
		_, err = w.store.SetStatus(t.Context(), w.act(), u.ID, identity.Active)
		w.must(t, err)
		w.refuses(t, p.RefreshToken)
		w.issue(t, u)
	})
}

func TestRoleChangeEndsEverySessionAndTheNextTokenHasTheNewRole(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		one, two := w.issue(t, u), w.issue(t, u)
		_, err := w.store.SetRole(t.Context(), w.act(), u.ID, identity.Operator)
		w.must(t, err)
		w.refuses(t, one.RefreshToken)
		w.refuses(t, two.RefreshToken)
		if c := w.claims(t, w.issue(t, u)); c["role"] != "operator" {
			t.Errorf("role is %v", c["role"])
		}
		now, err := w.bearer(t, one)
		if err != nil || now.Role != identity.Operator {
			t.Errorf("the old access token is accepted as %q, %v", now.Role, err)
		}
	})
}

func TestDeletionEndsEverySession(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		p := w.issue(t, u)
		w.must(t, w.store.DeleteUser(t.Context(), w.act(), u.ID))
		w.refuses(t, p.RefreshToken)
		_, err := w.bearer(t, p)
		wantFault(t, err, fault.Unauthenticated, "invalid_token")
	})
}

func TestRefreshLifetimeIsExtendedUntilTheAbsoluteEnd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		p := w.issue(t, w.viewer(t))
		const step = 6 * 24 * time.Hour
		for range 14 { // 84 days
			w.clock.Advance(step)
			p = w.rotate(t, p.RefreshToken)
		}
		w.clock.Advance(step - time.Second) // one second before the 90th day ends
		p = w.rotate(t, p.RefreshToken)
		w.clock.Advance(time.Second)
		w.refuses(t, p.RefreshToken)
	})
}

func TestAnIdleRefreshTokenExpires(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		p := w.issue(t, u)
		w.clock.Advance(token.DefaultRefreshLifetime - time.Second)
		p = w.rotate(t, p.RefreshToken)
		w.clock.Advance(token.DefaultRefreshLifetime)
		w.refuses(t, p.RefreshToken)
	})
}

func TestASessionShorterThanARefreshTokenEndsOnTime(t *testing.T) {
	w := open(t)
	w.Sessions = session.New(session.Config{Store: w.store, Tokens: w.Issuer, Audit: w.audit, Max: time.Hour, Now: w.clock.Now})
	p := w.issue(t, w.viewer(t))
	w.clock.Advance(time.Hour)
	w.refuses(t, p.RefreshToken)
}

package store_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

const pollEvery = 5 * time.Second

// registered stores a client.
func (w *world) registered(id string, change func(*oauth.Client)) {
	w.t.Helper()
	c := oauth.Client{ID: id, Name: id, Kind: oauth.KindWeb, AuthMethod: oauth.AuthNone}
	if change != nil {
		change(&c)
	}
	_, err := w.s.InsertClient(w.t.Context(), system("seed"), c, "", func(identity.Principal, oauth.Client) error { return nil })
	w.ok(err)
}

// device stores one that waits, named like its user code.
func (w *world) device(code, client string) {
	w.t.Helper()
	free, err := w.s.InsertDevice(w.t.Context(), store.Device{
		UserCode: code, ClientID: client, Scope: "openid", Address: "192.0.2.9", Network: "192.0.2.0/24", ExpiresAt: w.clock.Now().Add(10 * time.Minute),
	}, "hash-"+code)
	w.ok(err)
	if !free {
		w.t.Fatal("the user code is in use")
	}
}

// signedIn is the user with a session.
func (w *world) signedIn(u identity.User, name string) identity.Actor {
	w.t.Helper()
	actor := by(u)
	actor.SessionID = w.login(u, name).SessionID
	return actor
}

func (w *world) decide(actor identity.Actor, code string, allow bool) error {
	return w.s.DecideDevice(w.t.Context(), store.Act{Action: identity.ActionDevice, By: actor}, code, allow)
}

func (w *world) poll(client, code string) error {
	_, err := w.s.PollDevice(w.t.Context(), client, "hash-"+code, pollEvery)
	return err
}

func (w *world) redeem(client, code, hash string) (store.Subject, error) {
	return w.s.RedeemDevice(w.t.Context(), identity.Actor{}, "hash-"+code, store.NewFamily{ClientID: client, First: w.next(hash)})
}

func (w *world) is(want, got error) {
	w.t.Helper()
	if !errors.Is(got, want) {
		w.t.Errorf("got %v, want %v", got, want)
	}
}

func TestRFC8628Section35ADeviceWaitsUntilItsUserDecides(t *testing.T) {
	onEach(t, func(w *world) {
		w.registered("tv", nil)
		w.registered("other", nil)
		actor := w.signedIn(w.add("u", identity.Viewer, "default"), "s")
		w.device("AAAA", "tv")
		w.is(store.ErrDevicePending, w.poll("tv", "AAAA"))
		w.clock.Advance(pollEvery - time.Second)
		w.is(store.ErrDeviceTooSoon, w.poll("tv", "AAAA"))
		w.clock.Advance(time.Second)
		w.is(store.ErrDevicePending, w.poll("tv", "AAAA"))
		w.is(store.ErrNoDevice, w.poll("other", "AAAA"))
		w.is(store.ErrNoDevice, w.poll("tv", "BBBB"))
		_, err := w.redeem("tv", "AAAA", "r0")
		w.is(store.ErrNoDevice, err)
		w.clock.Advance(pollEvery)
		w.ok(w.decide(actor, "AAAA", true))
		w.is(store.ErrNoUserCode, w.decide(actor, "AAAA", false)) // once
		w.ok(w.poll("tv", "AAAA"))
		_, err = w.redeem("other", "AAAA", "r0")
		w.is(store.ErrNoDevice, err)
		g, err := w.redeem("tv", "AAAA", "r1")
		w.ok(err)
		if g.User.ID != actor.ID || g.SessionID != actor.SessionID {
			t.Errorf("%+v", g)
		}
		_, err = w.redeem("tv", "AAAA", "r2")
		w.is(store.ErrNoDevice, err)

		w.device("CCCC", "tv")
		w.ok(w.decide(actor, "CCCC", false))
		w.is(store.ErrDeviceDenied, w.poll("tv", "CCCC"))
		_, err = w.redeem("tv", "CCCC", "r3")
		w.is(store.ErrNoDevice, err)
	})
}

func TestRFC8628Section35ADeviceCodeExpires(t *testing.T) {
	onEach(t, func(w *world) {
		w.registered("tv", nil)
		actor := w.signedIn(w.add("u", identity.Viewer, "default"), "s")
		w.device("AAAA", "tv")
		w.device("BBBB", "tv")
		w.ok(w.decide(actor, "BBBB", true))
		w.clock.Advance(10 * time.Minute)
		w.is(store.ErrDeviceExpired, w.poll("tv", "AAAA"))
		w.is(store.ErrDeviceExpired, w.poll("tv", "BBBB"))
		w.is(store.ErrNoUserCode, w.decide(actor, "AAAA", true))
		_, err := w.redeem("tv", "BBBB", "r0")
		w.is(store.ErrNoDevice, err)
		n, err := w.s.PurgeDevices(t.Context(), 0)
		if err != nil || n != 0 {
			t.Errorf("purged %d, %v: the device would not learn that its code has expired", n, err)
		}
		w.clock.Advance(11 * time.Minute)
		n, err = w.s.PurgeDevices(t.Context(), 0)
		if err != nil || n != 2 {
			t.Errorf("purged %d, %v", n, err)
		}
	})
}

func TestADeviceIsRedeemedOnceUnderConcurrency(t *testing.T) {
	onEach(t, func(w *world) {
		w.registered("tv", nil)
		actor := w.signedIn(w.add("u", identity.Viewer, "default"), "s")
		w.device("AAAA", "tv")
		w.ok(w.decide(actor, "AAAA", true))
		var all sync.WaitGroup
		var won atomic.Int64
		for i := range 8 {
			all.Go(func() {
				if _, err := w.redeem("tv", "AAAA", fmt.Sprint("r", i)); err == nil {
					won.Add(1)
				} else if !errors.Is(err, store.ErrNoDevice) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("redeemed %d times", won.Load())
		}
	})
}

// RFC 8628 section 5.1: user codes are short, so a session enters few wrong ones.
func TestRFC8628Section51ASessionEntersFiveWrongCodes(t *testing.T) {
	onEach(t, func(w *world) {
		w.registered("tv", nil)
		u := w.add("u", identity.Viewer, "default")
		actor, other := w.signedIn(u, "s"), w.signedIn(u, "t")
		w.device("AAAA", "tv")
		find := func(actor identity.Actor, code string) error {
			d, err := w.s.DeviceByUserCode(t.Context(), actor.ID, actor.SessionID, code)
			if err == nil && (d.ClientID != "tv" || d.Address != "192.0.2.9" || d.Scope != "openid") {
				t.Errorf("%+v", d)
			}
			return err
		}
		for i := range 5 {
			w.ok(find(actor, "AAAA"))
			w.is(store.ErrNoUserCode, find(actor, fmt.Sprint("WRONG", i)))
		}
		w.is(store.ErrWrongDeviceCodes, find(actor, "AAAA"))
		w.is(store.ErrWrongDeviceCodes, w.decide(actor, "AAAA", true))
		w.ok(find(other, "AAAA"))
		w.is(identity.ErrInvalidToken, find(identity.Actor{Kind: identity.ActorUser, ID: u.ID, SessionID: "none"}, "AAAA"))
	})
}

// A user who may not use the client does not allow the device, and one whom that happens to
// later gets no token.
func TestADeviceIsAllowedOnlyByUsersOfItsClient(t *testing.T) {
	onEach(t, func(w *world) {
		w.registered("tv", func(c *oauth.Client) { c.AllowedRoles = []string{"operator"} })
		viewer := w.signedIn(w.add("v", identity.Viewer, "default"), "v")
		u := w.add("o", identity.Operator, "default")
		operator := w.signedIn(u, "o")
		w.device("AAAA", "tv")
		w.is(store.ErrMayNotUse, w.decide(viewer, "AAAA", true))
		w.ok(w.decide(operator, "AAAA", true))
		w.ok(w.s.EndUserSession(t.Context(), act(u), u.ID, operator.SessionID))
		_, err := w.redeem("tv", "AAAA", "r0")
		w.is(identity.ErrInvalidToken, err)
	})
}

func TestDevicesThatWaitAreBounded(t *testing.T) {
	onEach(t, func(w *world) {
		w.registered("tv", nil)
		insert := func(i int, network string) error {
			_, err := w.s.InsertDevice(t.Context(), store.Device{
				UserCode: fmt.Sprint(network, i), ClientID: "tv", Network: network, ExpiresAt: w.clock.Now().Add(time.Minute),
			}, fmt.Sprint(network, i))
			return err
		}
		for i := range 500 {
			w.ok(insert(i, "a"))
		}
		if err := insert(500, "a"); fault.KindOf(err) != fault.Throttled {
			t.Errorf("the network has 501: %v", err)
		}
		w.ok(insert(0, "b"))
		w.clock.Advance(time.Minute)
		w.ok(insert(501, "a"))
		free, err := w.s.InsertDevice(t.Context(), store.Device{UserCode: "b0", ClientID: "tv", Network: "c", ExpiresAt: w.clock.Now().Add(time.Minute)}, "x")
		if free || err != nil {
			t.Errorf("a user code was given to two devices: %v", err)
		}
	})
}

// What a user has withdrawn is not granted later, by a device that they had allowed.
func TestAWithdrawnConsentIsNotRedeemed(t *testing.T) {
	onEach(t, func(w *world) {
		w.registered("tv", nil)
		u := w.add("u", identity.Viewer, "default")
		actor := w.signedIn(u, "s")
		w.device("BBBBBBBB", "tv")
		w.ok(w.decide(actor, "BBBBBBBB", true))
		w.ok(w.s.WithdrawConsent(t.Context(), store.Act{Action: identity.ActionWithdraw, By: actor}, "tv"))
		_, err := w.redeem("tv", "BBBBBBBB", "x")
		w.is(store.ErrNoDevice, err)
		w.is(identity.ErrInvalidToken, w.refresh("tv", "x", "y"))
	})
}

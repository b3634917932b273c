package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// device is a device on which a user is signed in, and its session.
type device struct {
	user   identity.User
	family string // empty: signed out
	token  string
	used   string // the previous token; empty: none
	last   time.Time
}

// use is a month of a small company: devices that refresh while they are in
// use, are signed out or abandoned, and sometimes a copied token.
type use struct {
	w       *world
	devices []*device
	rand    *rand.Rand
	serial  int

	issued   int         // all tokens so far
	lifetime []time.Time // the latest time at which each token may be purged
}

func (u *use) name() string {
	u.serial++
	return fmt.Sprintf("m%06d", u.serial)
}

// token records an issued token: it is valid for a week, is kept for a day more,
// and may wait for one round of the purge.
func (u *use) token() {
	u.issued++
	u.lifetime = append(u.lifetime, u.w.clock.Now().Add(week+24*time.Hour+time.Hour))
}

// bound is how many tokens may exist: those whose time has not passed.
func (u *use) bound() int {
	now, n := u.w.clock.Now(), 0
	for _, end := range u.lifetime {
		if end.After(now) {
			n++
		}
	}
	return n
}

// hour is one hour of a device.
func (u *use) hour(d *device) {
	w, now := u.w, u.w.clock.Now()
	if h := now.Hour(); h < 7 || h > 19 || u.rand.IntN(2) > 0 {
		return
	}
	switch {
	case d.family != "" && now.Sub(d.last) >= week: // not used for too long
		if _, err := w.rotate(d.token, u.name()); !errors.Is(err, identity.ErrInvalidToken) {
			w.t.Fatalf("a token that expired: %v", err)
		}
		d.family = ""
	case d.family == "":
		d.token, d.used, d.last = u.name(), "", now
		d.family = w.login(d.user, d.token).SessionID
		u.token()
	case u.rand.IntN(40) == 0:
		w.ok(w.s.EndSession(w.t.Context(), store.Act{Action: "logout", By: by(d.user)}, d.family))
		d.family = ""
	case u.rand.IntN(80) == 0 && d.used != "":
		if _, err := w.rotate(d.used, u.name()); !errors.Is(err, identity.ErrInvalidToken) {
			w.t.Fatalf("a used token: %v", err)
		}
		d.family = ""
	default:
		next := u.name()
		_, err := w.rotate(d.token, next)
		w.ok(err)
		d.used, d.token, d.last = d.token, next, now
		u.token()
	}
}

// A month of use leaves what is valid and what was valid a day ago, not everything
// that the month made.
func TestAMonthOfUseStaysBounded(t *testing.T) { storetest.EachURL(t, monthOfUse) }

func monthOfUse(t *testing.T, url string) {
	clock := storetest.NewClock()
	w := &world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(clock)), clock: clock}
	u := &use{w: w, rand: rand.New(rand.NewPCG(3, 6))}
	for i := range 6 {
		user := w.add(fmt.Sprintf("user%d", i), identity.Viewer, "default")
		for range 2 {
			u.devices = append(u.devices, &device{user: user})
		}
	}
	count := func(table string) int {
		var n int
		_, err := fmt.Sscan(storetest.Rows(t, url, "SELECT COUNT(*) FROM "+table)[0][0], &n)
		w.ok(err)
		return n
	}
	most := 0
	for hour := range 30 * 24 {
		clock.Advance(time.Hour)
		for _, d := range u.devices {
			if d.family == "" || u.rand.IntN(200) > 0 {
				u.hour(d)
			} else {
				d.last = clock.Now().Add(-2 * week) // abandoned
				d.family = ""
			}
		}
		for w.purge(0) > 0 {
		}
		if hour%24 != 23 {
			continue
		}
		tokens, families, bound := count("refresh_tokens"), count("refresh_families"), u.bound()
		if tokens > bound || families > tokens {
			t.Fatalf("day %d: %d tokens, %d families; at most %d tokens may exist, and no family without one", hour/24+1, tokens, families, bound)
		}
		most = max(most, tokens)
	}
	if most*2 > u.issued {
		t.Errorf("%d tokens at once of %d that were issued: the month was not long enough to show anything", most, u.issued)
	}
	t.Logf("%d tokens were issued, at most %d existed at once; at the end %d tokens and %d families", u.issued, most, count("refresh_tokens"), count("refresh_families"))

	for _, d := range u.devices { // signed-in devices stay signed in
		if d.family != "" && clock.Now().Sub(d.last) < week {
			_, err := w.rotate(d.token, u.name())
			w.ok(err)
		}
	}
	clock.Advance(3*month + 25*time.Hour)
	for w.purge(0) > 0 {
	}
	if tokens, families, sessions := count("refresh_tokens"), count("refresh_families"), count("sessions"); tokens+families+sessions > 0 {
		t.Errorf("after all sessions ended, %d tokens, %d families and %d sessions are left", tokens, families, sessions)
	}
}

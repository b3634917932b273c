package keyring_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// model is two replicas, two clocks, and what was learned from outside.
type model struct {
	t         *testing.T
	r         *rapid.T
	url       string
	clock     *clockwork
	cfg       keyring.Config // of the next start, and of operators
	truth     time.Duration  // that really passed
	rings     []*keyring.Ring
	lifetimes []time.Duration // of tokens, for each ring
	seals     []byte          // which master key each ring was opened with
	newest    byte            // that of cfg
	cut       int             // the replica that does not reach the database; -1: none

	promises []promise
	excepted map[string]bool // keys that need not have been published before: the first, --now, after a revocation
	revoked  map[string]bool
	tokens   []signedToken
}

// promise is a key set that a client may keep.
type promise struct {
	kids  map[string]bool
	until time.Duration // in truth
}

type signedToken struct {
	kid      string
	iat, exp time.Time // by the wall
}

// Whatever operators, restarts, outages, configurations and clocks do: one key is
// active; none signs before every client can know it; none is removed while a token of
// it is valid.
func TestNoOrderOfEventsBreaksTheLifecycleOfKeys(t *testing.T) {
	sealed := 0
	rapid.Check(t, func(r *rapid.T) {
		sealed++
		url := storetest.SQLite(t)
		m := &model{
			t: t, r: r, url: url, clock: newClockwork(), newest: 1, cut: -1,
			excepted: map[string]bool{}, revoked: map[string]bool{},
		}
		m.cfg = m.clock.config(storetest.OpenURL(t, url, storetest.WithClock(m.clock.wall)), filepath.Join(t.TempDir(), "keys"))
		if sealed%8 != 0 { // files cost an fsync each
			m.cfg.Master, m.cfg.AtRest = master(t, 1), keyring.Sealed
		}
		for i := range 2 {
			m.rings, m.lifetimes, m.seals = append(m.rings, nil), append(m.lifetimes, 0), append(m.seals, 0)
			m.restart(i)
		}
		m.excepted[m.rings[0].Active().KID] = true
		m.check()
		for range rapid.IntRange(20, 55).Draw(r, "events") {
			m.event()
			m.check()
		}
		succeed(m.t, m.cfg.Store.Close())
	})
}

func (m *model) event() {
	switch what := rapid.SampledFrom([]string{
		"pass", "pass", "pass", "pass", "pass", "pass", "jump", "jump", "crash", "stop", "rotate", "rotate", "rotate", "now", "now", "revoke", "withdraw", "algorithm", "lifetime",
		"cut", "cut", "back", "master", "ahead", "ahead",
	}).Draw(m.r, "event"); what {
	case "pass":
		m.pass(time.Duration(rapid.SampledFrom([]int{1, 4, 25, 60, 149, 300, 320, 600, 700, 4000}).Draw(m.r, "seconds")) * time.Second)
	case "jump":
		m.clock.wall.Advance(time.Duration(rapid.SampledFrom([]int{-100_000, -1000, -300, 300, 1000, 100_000}).Draw(m.r, "jump")) * time.Second)
	case "crash":
		storetest.Exec(m.t, m.url, "UPDATE leases SET expires_at = 0")
		m.restart(m.either())
	case "stop": // all servers, for a day
		for i, ring := range m.rings {
			if i != m.cut {
				succeed(m.t, ring.Rest(m.t.Context()))
			}
		}
		m.truth += 24 * time.Hour
		m.clock.wall.Advance(24 * time.Hour)
		for i := range m.rings {
			m.restart(i)
		}
	case "algorithm":
		m.cfg.Algorithm = map[jose.Algorithm]jose.Algorithm{jose.EdDSA: jose.ES256, jose.ES256: jose.EdDSA}[m.cfg.Algorithm]
		m.restart(0)
		m.restart(1)
	case "lifetime":
		m.cfg.TokenLifetime = time.Duration(rapid.SampledFrom([]int{1, 10, 30}).Draw(m.r, "minutes")) * time.Minute
		m.restart(m.either())
	case "ahead":
		m.cfg.PublishAhead = time.Duration(rapid.SampledFrom([]int{360, 600, 3600}).Draw(m.r, "seconds")) * time.Second
		m.restart(m.either())
	case "cut":
		m.cut = m.either()
		m.look() // the other, if it was that one
	case "back":
		m.cut = -1
		m.look()
	case "master":
		m.changeMaster()
	default:
		m.operate(what)
	}
}

func (m *model) either() int { return rapid.IntRange(0, 1).Draw(m.r, "replica") }

// changeMaster takes the next step of replacing the master key: one replica is
// opened with the new one, later the other.
func (m *model) changeMaster() {
	if m.cfg.Master == nil {
		return
	}
	_, err := admin(m.t, m.cfg).Reseal(m.t.Context(), operator)
	succeed(m.t, err)
	for i := range m.rings {
		if m.lags(i) {
			m.restart(i)
			return
		}
	}
	m.newest++
	m.cfg.Master = master(m.t, m.newest).After(master(m.t, m.newest-1))
	m.restart(m.either())
}

// lags reports whether a replica cannot open what is sealed now.
func (m *model) lags(i int) bool { return m.seals[i] != m.newest }

func (m *model) operate(what string) {
	d, set := admin(m.t, m.cfg), rows(m.t, m.cfg.Store)
	switch what {
	case "rotate":
		rotate(m.t, m.cfg, false)
	case "now":
		m.excepted[rotate(m.t, m.cfg, true)] = true
	case "revoke":
		kid := set.Keys[rapid.IntRange(0, len(set.Keys)-1).Draw(m.r, "key")].KID
		successor, err := d.Revoke(m.t.Context(), operator, kid, false)
		if was := set.Key(kid).Status; (err != nil) != (was == store.KeyRemoved) {
			m.r.Fatalf("revoke a key that is %s: %v", was, err)
		}
		m.revoked[kid] = m.revoked[kid] || err == nil
		m.excepted[successor] = true
	case "withdraw":
		if next := set.First(store.KeyPending, ""); next != nil {
			withdraw(m.t, m.cfg, next.KID)
		}
	}
	m.look()
}

func (m *model) restart(i int) {
	ring, err := start(m.t.Context(), m.cfg)
	if err != nil {
		m.r.Fatal(err)
	}
	m.rings[i], m.lifetimes[i], m.seals[i] = ring, m.cfg.TokenLifetime, m.newest
	if m.cut == i {
		m.cut = -1
	}
	m.look()
}

// context is cancelled for the replica that is cut off.
func (m *model) context(i int) context.Context {
	ctx, cancel := context.WithCancel(m.t.Context())
	if i == m.cut {
		cancel()
	}
	context.AfterFunc(m.t.Context(), cancel)
	return ctx
}

// tend is what a server does for its keys all the time. One that cannot open what
// is sealed says so.
func (m *model) tend(do func(*keyring.Ring, context.Context) error) {
	for i, ring := range m.rings {
		if ring == nil || i == m.cut {
			continue
		}
		if err := do(ring, m.t.Context()); err != nil && !m.lags(i) {
			m.r.Fatal(err)
		}
	}
}

// pass lets time go by in which the replicas look, which they do often.
func (m *model) pass(d time.Duration) {
	m.truth += d
	m.clock.pass(d)
	m.tend(func(ring *keyring.Ring, ctx context.Context) error {
		return errors.Join(ring.Refresh(ctx), ring.Step(ctx))
	})
	m.look()
}

// look is less than five seconds in which all follow a change, and a
// client fetches a key set from each.
func (m *model) look() {
	m.tend((*keyring.Ring).Refresh)
	m.promises = slices.DeleteFunc(m.promises, func(p promise) bool { return p.until <= m.truth })
	for _, ring := range m.rings {
		if ring == nil || ring.MaxAge() == 0 {
			continue
		}
		p := promise{kids: map[string]bool{}, until: m.truth + ring.MaxAge()}
		for _, k := range ring.Published().Keys() {
			p.kids[k.KID] = true
		}
		m.promises = append(m.promises, p)
	}
}

func (m *model) sign(i int) {
	if err := m.rings[i].Ready(m.context(i)); err != nil {
		if i != m.cut && !m.lags(i) {
			m.r.Fatalf("replica %d does not sign: %v", i, err)
		}
		return
	}
	text, err := sign(m.rings[i])
	if err != nil {
		m.r.Fatal(err)
	}
	h, err := verify(m.t, m.rings[1-i], text)
	if m.revoked[h.KeyID] && i == m.cut {
		return // it cannot know
	}
	if err != nil && m.cut != 1-i {
		m.r.Fatalf("the other replica refuses a token of %s: %v", h.KeyID, err)
	}
	for _, p := range m.promises {
		if p.until > m.truth && !p.kids[h.KeyID] && !m.excepted[h.KeyID] {
			m.r.Fatalf("%s signs while a client may keep for %v a set without it", h.KeyID, p.until-m.truth)
		}
	}
	now := m.clock.wall.Now()
	m.tokens = append(m.tokens, signedToken{h.KeyID, now, now.Add(m.lifetimes[i])})
}

func (m *model) check() {
	m.sign(0)
	m.sign(1)
	set := rows(m.t, m.cfg.Store)
	active := 0
	for _, row := range set.Keys {
		if row.Status == store.KeyActive {
			active++
		}
	}
	if active != 1 {
		m.r.Fatalf("%d keys are active", active)
	}
	now := m.clock.wall.Now()
	// An expired token stays expired, even if the clock is set back later.
	m.tokens = slices.DeleteFunc(m.tokens, func(t signedToken) bool { return !now.Before(t.exp.Add(time.Minute)) })
	sets := []map[string]*jose.PublicKey{published(m.t, m.rings[0]), published(m.t, m.rings[1])}
	for _, token := range m.tokens {
		row := set.Key(token.kid)
		// A token of the future is not accepted; one that was signed by a wrong
		// clock, and whose key is removed before that time, is lost.
		ahead := !row.RetiredAt.IsZero() && token.iat.After(row.RetiredAt)
		good := !now.Before(token.iat.Add(-time.Minute))
		for i, set := range sets {
			if i == m.cut {
				continue
			}
			switch accepted := set[token.kid] != nil; {
			case m.revoked[token.kid] && accepted:
				m.r.Fatalf("replica %d accepts a token of the revoked key %s", i, token.kid)
			case !m.revoked[token.kid] && !ahead && good && !accepted:
				m.r.Fatalf("replica %d refuses a good token of %s, %s", i, token.kid, describe(*row, now))
			}
		}
	}
}

func describe(row store.SigningKey, now time.Time) string {
	return fmt.Sprintf("%s, retired %v ago by the wall, counted %v, tokens of %v", row.Status, now.Sub(row.RetiredAt), row.Counted, row.TokenLifetime)
}

package keyring_test

import (
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
	t     *testing.T
	r     *rapid.T
	url   string
	clock *clockwork
	cfg   keyring.Config
	truth time.Duration // that really passed
	rings []*keyring.Ring
	lives []time.Duration // of tokens, for each ring

	published map[string]time.Duration // by key id: since when, in truth
	excepted  map[string]bool          // keys that need not have been published before: the first, --now, after a revocation
	revoked   map[string]bool
	tokens    []signedToken
}

type signedToken struct {
	kid      string
	iat, exp time.Time // by the wall
}

// Whatever operators, restarts and clocks do: one key is active; none signs
// before everybody can know it; none is gone while a token of it is good.
func TestNoOrderOfEventsBreaksTheLifeOfKeys(t *testing.T) {
	sealed := 0
	rapid.Check(t, func(r *rapid.T) {
		sealed++
		url := storetest.SQLite(t)
		m := &model{
			t: t, r: r, url: url, clock: newClockwork(),
			published: map[string]time.Duration{}, excepted: map[string]bool{}, revoked: map[string]bool{},
		}
		m.cfg = m.clock.config(storetest.OpenURL(t, url, storetest.WithClock(m.clock.wall)), filepath.Join(t.TempDir(), "keys"))
		if sealed%8 != 0 { // files cost an fsync each
			m.cfg.Master, m.cfg.AtRest = master(t, 1), keyring.Sealed
		}
		for i := range 2 {
			m.rings, m.lives = append(m.rings, nil), append(m.lives, 0)
			m.restart(i)
		}
		m.excepted[m.rings[0].Active().KID] = true
		m.check()
		for range rapid.IntRange(20, 60).Draw(r, "events") {
			m.event()
			m.check()
		}
		succeed(m.t, m.cfg.Store.Close())
	})
}

func (m *model) event() {
	switch what := rapid.SampledFrom([]string{
		"pass", "pass", "pass", "pass", "pass", "jump", "jump", "crash", "stop", "rotate", "rotate", "rotate", "now", "now", "revoke", "withdraw", "algorithm", "life",
	}).Draw(m.r, "event"); what {
	case "pass":
		m.pass(time.Duration(rapid.SampledFrom([]int{1, 60, 149, 300, 320, 600, 700, 4000}).Draw(m.r, "seconds")) * time.Second)
	case "jump":
		m.clock.wall.Advance(time.Duration(rapid.SampledFrom([]int{-100_000, -1000, -300, 300, 1000, 100_000}).Draw(m.r, "jump")) * time.Second)
	case "crash":
		storetest.Exec(m.t, m.url, "UPDATE leases SET expires_at = 0")
		m.restart(rapid.IntRange(0, 1).Draw(m.r, "replica"))
	case "stop": // everybody, for a day
		for _, ring := range m.rings {
			succeed(m.t, ring.Rest(m.t.Context()))
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
	case "life":
		m.cfg.TokenLife = time.Duration(rapid.SampledFrom([]int{1, 10, 30}).Draw(m.r, "minutes")) * time.Minute
		m.restart(rapid.IntRange(0, 1).Draw(m.r, "replica"))
	default:
		m.operate(what)
	}
}

func (m *model) operate(what string) {
	d, set := desk(m.t, m.cfg), rows(m.t, m.cfg.Store)
	switch what {
	case "rotate":
		rotate(m.t, m.cfg, false)
	case "now":
		m.excepted[rotate(m.t, m.cfg, true)] = true
	case "revoke":
		kid := set.Keys[rapid.IntRange(0, len(set.Keys)-1).Draw(m.r, "key")].KID
		successor, err := d.Revoke(m.t.Context(), operator, kid)
		if was := set.Key(kid).Status; (err != nil) != (was == store.KeyRemoved) {
			m.r.Fatalf("revoke a key that is %s: %v", was, err)
		}
		m.revoked[kid] = m.revoked[kid] || err == nil
		m.excepted[successor] = true
	case "withdraw":
		if next := set.Next(); next != nil {
			succeed(m.t, d.Withdraw(m.t.Context(), operator, next.KID))
		}
	}
	m.look()
}

func (m *model) restart(i int) {
	ring, err := keyring.Open(m.t.Context(), m.cfg)
	if err != nil {
		m.r.Fatal(err)
	}
	m.rings[i], m.lives[i] = ring, m.cfg.TokenLife
	m.look()
}

// pass lets time go by in which both replicas look, which they do often.
func (m *model) pass(d time.Duration) {
	m.truth += d
	m.clock.tick(m.t, d, m.rings...)
	m.look()
}

// look is less than five seconds in which all take up what was changed.
func (m *model) look() {
	for _, ring := range m.rings {
		if ring == nil {
			continue
		}
		succeed(m.t, ring.Refresh(m.t.Context()))
		for _, k := range ring.Keys() {
			if _, known := m.published[k.KID]; !known {
				m.published[k.KID] = m.truth
			}
		}
	}
}

func (m *model) sign(i int) {
	text, err := m.rings[i].Sign([]byte(`{}`))
	if err != nil {
		m.r.Fatal(err)
	}
	h, err := verify(m.t, m.rings[1-i], text)
	if err != nil {
		m.r.Fatalf("the other replica refuses a token of %s: %v", h.KeyID, err)
	}
	if ahead := m.truth - m.published[h.KeyID]; ahead < keyring.DefaultPublishAhead && !m.excepted[h.KeyID] {
		m.r.Fatalf("%s signs after having been published for %v", h.KeyID, ahead)
	}
	now := m.clock.wall.Now()
	m.tokens = append(m.tokens, signedToken{h.KeyID, now, now.Add(m.lives[i])})
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
	// One that has expired once is gone, though the clock be set back later.
	m.tokens = slices.DeleteFunc(m.tokens, func(t signedToken) bool { return !now.Before(t.exp.Add(time.Minute)) })
	sets := []map[string]*jose.PublicKey{published(m.t, m.rings[0]), published(m.t, m.rings[1])}
	for _, token := range m.tokens {
		row := set.Key(token.kid)
		// Nobody accepts a token of the future; one that was signed by a clock in
		// error, and whose key went before that time came, is lost with it.
		ahead := !row.RetiredAt.IsZero() && token.iat.After(row.RetiredAt)
		good := !now.Before(token.iat.Add(-time.Minute))
		for i, set := range sets {
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
	return fmt.Sprintf("%s, retired %v ago by the wall, counted %v, tokens of %v", row.Status, now.Sub(row.RetiredAt), row.Counted, row.TokenLife)
}

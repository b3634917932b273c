package token_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/token"
)

const grace = 10 * time.Second

func withGrace(c *token.Config, _ *keyring.Config) { c.ReuseGrace = grace }

func TestWithoutAGraceEveryReuseEndsTheFamily(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		p := w.issue(t, w.viewer(t))
		next := w.rotate(t, p.RefreshToken)
		w.refuses(t, p.RefreshToken)
		w.refuses(t, next.RefreshToken)
	})
}

func TestWithinTheGraceAUsedTokenYieldsTheSameSuccessor(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		p := w.issue(t, w.viewer(t))
		next := w.rotate(t, p.RefreshToken)
		c := w.claims(t, next)
		w.clock.Advance(grace - time.Microsecond)
		again := w.rotate(t, p.RefreshToken)
		if again.RefreshToken != next.RefreshToken {
			t.Fatal("the successor is another one")
		}
		// One access token in the list of revoked ones covers both.
		a := w.claims(t, again)
		for _, claim := range []string{"jti", "sid", "iat", "exp"} {
			if a[claim] != c[claim] {
				t.Errorf("%s is %v, and was %v", claim, a[claim], c[claim])
			}
		}
		if again.ExpiresIn > next.ExpiresIn-grace+time.Second || again.ExpiresIn < next.ExpiresIn-grace-time.Second {
			t.Errorf("the access token expires in %s, and did in %s", again.ExpiresIn, next.ExpiresIn)
		}
		if got := w.Stats(); got.Repeated != 1 || got.Rotated != 1 || got.Reused != 0 {
			t.Errorf("stats: %+v", got)
		}
		if !strings.Contains(w.log.String(), ", repeated") {
			t.Error("the log does not say so")
		}
		w.rotate(t, again.RefreshToken)
	}, withGrace)
}

func TestOutsideTheGraceAUsedTokenEndsTheFamily(t *testing.T) {
	for name, then := range map[string]func(t *testing.T, w *world, next string){
		"later":                 func(_ *testing.T, w *world, _ string) { w.clock.Advance(grace) },
		"its successor is used": func(t *testing.T, w *world, next string) { w.rotate(t, next) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				p := w.issue(t, w.viewer(t))
				next := w.rotate(t, p.RefreshToken)
				then(t, w, next.RefreshToken)
				w.refuses(t, p.RefreshToken)
				w.refuses(t, next.RefreshToken)
				if got := w.Stats(); got.Reused != 1 {
					t.Errorf("stats: %+v", got)
				}
			}, withGrace)
		})
	}
}

func TestTheGraceRevivesNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		p := w.issue(t, u)
		next := w.rotate(t, p.RefreshToken)
		w.must(t, w.EndByRefreshToken(t.Context(), web, next.RefreshToken))
		w.refuses(t, p.RefreshToken)
		q := w.issue(t, u)
		w.rotate(t, q.RefreshToken)
		_, err := w.store.SetStatus(t.Context(), w.act(), u.ID, identity.Suspended)
		w.must(t, err)
		w.refuses(t, q.RefreshToken)
	}, withGrace)
}

// Two tabs, or two replicas, with one token at the same time.
func TestConcurrentRefreshesWithinTheGraceGetOneSuccessor(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		replica := rigged([]option{withGrace, func(_ *token.Config, k *keyring.Config) { k.Dir = dir }})
		w := newWorld(testrig.New(t, url, replica...))
		issuers := []*token.Issuer{w.Issuer}
		if strings.HasPrefix(url, "postgres") {
			issuers = append(issuers, testrig.New(t, url, replica...).Tokens)
		}
		u := w.viewer(t)
		for range 5 {
			p := w.issue(t, u)
			var mu sync.Mutex
			var all sync.WaitGroup
			got := map[string]int{}
			for i := range 16 {
				all.Go(func() {
					pair, err := issuers[i%len(issuers)].Rotate(t.Context(), web, p.RefreshToken)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					got[pair.RefreshToken]++
				})
			}
			all.Wait()
			if len(got) != 1 {
				t.Fatalf("%d successors", len(got))
			}
		}
	})
}

func TestTheDatabaseAloneDoesNotRevealASuccessor(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(testrig.New(t, url, rigged([]option{withGrace})...))
		p := w.issue(t, w.viewer(t))
		next := w.rotate(t, p.RefreshToken)
		rows := storetest.Rows(t, url, "SELECT successor, successor_id, token_hash, id, family_id FROM refresh_tokens WHERE successor IS NOT NULL")
		if len(rows) != 1 {
			t.Fatalf("%d sealed successors", len(rows))
		}
		sealed, id := rows[0][0], rows[0][1]
		if opened, err := token.OpenSuccessor(p.RefreshToken, id, sealed); err != nil || opened != next.RefreshToken {
			t.Errorf("the used token does not open it: %v", err)
		}
		for _, stored := range append(rows[0], next.RefreshToken, p.RefreshToken[:24]) {
			if _, err := token.OpenSuccessor(stored, id, sealed); err == nil {
				t.Errorf("%q opens it", stored)
			}
		}
		for _, secret := range []string{p.RefreshToken, next.RefreshToken, next.RefreshToken[24:]} {
			if strings.Contains(fmt.Sprint(storetest.Rows(t, url, "SELECT * FROM refresh_tokens"), storetest.Rows(t, url, "SELECT * FROM refresh_families")), secret) {
				t.Error("a token is stored")
			}
		}
	})
}

// TestThereAreNeverTwoLiveDescendants: clients retry, refresh in several tabs and lose
// responses, and a thief has copies of some of their tokens. Whatever they do and
// when, at most one token of the family works at any moment, no two tokens were ever
// issued for one, and after an act outside the grace none works.
func TestThereAreNeverTwoLiveDescendants(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(testrig.New(t, url, rigged([]option{withGrace})...))
		runs := 0
		rapid.Check(t, func(rt *rapid.T) {
			runs++
			u := w.user(t, fmt.Sprintf("grace-%d@pico.example", runs), identity.Viewer, identity.DefaultOrg)
			m := &descent{rt: rt, w: w, t: t, successor: map[string]string{}, usedAt: map[string]time.Time{}}
			m.holders = [][]string{{w.issue(t, u).RefreshToken}, nil, nil} // two tabs and a thief
			m.chain = append(m.chain, m.holders[0][0])
			rt.Repeat(map[string]func(*rapid.T){
				"present": m.present,
				"copy":    m.copy,
				"wait": func(rt *rapid.T) {
					w.clock.Advance(time.Duration(rapid.IntRange(1, 12_000).Draw(rt, "ms")) * time.Millisecond)
				},
			})
		})
	})
}

// descent is the family of tokens as an observer of all responses knows it.
type descent struct {
	rt        *rapid.T
	w         *world
	t         *testing.T
	holders   [][]string        // what each party has, the newest last
	chain     []string          // all tokens, in the order in which they were issued
	successor map[string]string // of used ones
	usedAt    map[string]time.Time
	ended     bool
}

// present lets a party present a token that it has; the response may get lost.
func (m *descent) present(rt *rapid.T) {
	who := rapid.IntRange(0, len(m.holders)-1).Draw(rt, "who")
	if len(m.holders[who]) == 0 {
		rt.Skip("has none")
	}
	presented := rapid.SampledFrom(m.holders[who]).Draw(rt, "token")
	pair, err := m.w.Rotate(m.t.Context(), web, presented)
	next, used := m.successor[presented]
	_, nextUsed := m.successor[next]
	switch {
	case m.ended:
		if !faultIs(err, fault.Unauthenticated, "invalid_token") || errors.Is(err, store.ErrReuse) {
			rt.Fatalf("after the end: %v", err)
		}
		return
	case !used:
		if err != nil || presented != m.chain[len(m.chain)-1] {
			rt.Fatalf("an unused token: %v", err)
		}
		m.successor[presented], m.usedAt[presented] = pair.RefreshToken, m.w.clock.Now()
		m.chain = append(m.chain, pair.RefreshToken)
	case !nextUsed && m.w.clock.Now().Before(m.usedAt[presented].Add(grace)):
		if err != nil || pair.RefreshToken != next {
			rt.Fatalf("within the grace: %v, another token: %v", err, pair.RefreshToken != next)
		}
	default:
		if !errors.Is(err, store.ErrReuse) {
			rt.Fatalf("outside the grace: %v", err)
		}
		m.ended = true
		return
	}
	if !rapid.Bool().Draw(rt, "lost") {
		m.holders[who] = append(m.holders[who], pair.RefreshToken)
	}
}

// copy gives a party a token that another one has: a tab shares the storage, and
// the thief reads it.
func (m *descent) copy(rt *rapid.T) {
	from := rapid.IntRange(0, len(m.holders)-1).Draw(rt, "from")
	if len(m.holders[from]) == 0 {
		rt.Skip("has none")
	}
	to := rapid.IntRange(0, len(m.holders)-1).Draw(rt, "to")
	m.holders[to] = append(m.holders[to], rapid.SampledFrom(m.holders[from]).Draw(rt, "token"))
}

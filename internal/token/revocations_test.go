package token_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/token"
)

// list is what a follower has passed on.
type list struct {
	follower *token.Revocations
	mu       sync.Mutex
	seen     []token.Revocation
}

func (l *list) update(t *testing.T) {
	t.Helper()
	err := l.follower.Update(t.Context(), func(part []token.Revocation) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.seen = append(l.seen, part...)
	})
	if err != nil {
		t.Error(err)
	}
}

func (l *list) has(jti any) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.seen, func(r token.Revocation) bool { return r.JTI == jti })
}

func TestRevocationsAreListedHereAtOnceAndElsewhereWithinSeconds(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(testrig.New(t, url, rigged(nil)...))
		config := w.config
		config.Store = storetest.OpenURL(t, url, func(c *store.Config) { c.Now = w.clock.Now })
		here, there := &list{follower: w.Revocations()}, &list{follower: token.New(config).Revocations()}
		u := w.viewer(t)
		for range 3 {
			here.update(t)
			there.update(t)
			p := w.issue(t, u)
			w.must(t, w.End(t.Context(), w.actor(t, p)))
			jti := w.claims(t, p)["jti"]
			if here.update(t); !here.has(jti) {
				t.Error("not listed at once by the replica that ended it")
			}
			w.clock.Advance(4 * time.Second)
			if there.update(t); !there.has(jti) {
				t.Error("not listed after 4 seconds by another replica")
			}
		}
	})
}

// Another replica commits after the time of its transaction, or has a clock that is
// behind.
func TestRevocationsThatAreStoredLateAreListed(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(testrig.New(t, url, rigged(nil)...))
		config := w.config
		for _, behind := range []time.Duration{20 * time.Second, 3 * time.Minute} {
			config.Store = storetest.OpenURL(t, url, func(c *store.Config) {
				c.Now = func() time.Time { return w.clock.Now().Add(behind) }
			})
			config.Now = func() time.Time { return w.clock.Now().Add(behind) }
			ahead := &list{follower: token.New(config).Revocations()}
			ahead.update(t)
			p := w.issue(t, w.user(t, behind.String()+"@pico.example", "viewer", "default"))
			w.must(t, w.End(t.Context(), w.actor(t, p)))
			jti := w.claims(t, p)["jti"]
			w.clock.Advance(4 * time.Second)
			if behind < token.RevocationsOverlap {
				if ahead.update(t); !ahead.has(jti) {
					t.Errorf("%v behind: not listed after 4 seconds", behind)
				}
				continue
			}
			w.clock.Advance(5 * time.Minute)
			if ahead.update(t); !ahead.has(jti) {
				t.Errorf("%v behind: not listed when everything is read again", behind)
			}
		}
	})
}

// Each goroutine ends a session and must find it in the list, while the others read.
func TestAnEndedSessionIsListedAtOnceUnderConcurrency(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		l := &list{follower: w.Revocations()}
		u := w.viewer(t)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 10 {
					p := w.issue(t, u)
					w.must(t, w.End(t.Context(), w.actor(t, p)))
					if l.update(t); !l.has(w.claims(t, p)["jti"]) {
						t.Error("not listed after the end")
					}
				}
			})
		}
		all.Wait()
	})
}

func TestAFailedReadOfRevocationsLosesNone(t *testing.T) {
	w := open(t)
	l := &list{follower: w.Revocations()}
	l.update(t)
	p := w.issue(t, w.viewer(t))
	w.must(t, w.End(t.Context(), w.actor(t, p)))
	if !w.store.HasOwnRevocations() {
		t.Fatal("nothing is noted")
	}
	w.must(t, w.store.Close())
	for range 2 {
		if err := l.follower.Update(t.Context(), func([]token.Revocation) { t.Error("passed on") }); err == nil {
			t.Error("no error")
		}
	}
	if !w.store.HasOwnRevocations() {
		t.Error("it is forgotten")
	}
}

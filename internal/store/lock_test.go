package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// atOnce runs op n times concurrently. An error fails the test, and so does a
// second attempt: it means that they waited for each other.
func (w *world) atOnce(n int, op func(i int) error) {
	w.t.Helper()
	retries := w.s.Stats().Retries
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = op(i) })
	}
	all.Wait()
	for _, err := range errs {
		w.ok(err)
	}
	if again := w.s.Stats().Retries - retries; again > 0 {
		w.t.Errorf("%d operations took %d more attempts: they waited for each other", n, again)
	}
}

func TestConcurrentOperationsOnTheActorDoNotDeadlock(t *testing.T) {
	onEach(t, func(w *world) {
		t := w.t
		root := w.add("root", identity.Superadmin, "acme")
		groups := make([]identity.Group, 12)
		for i := range groups {
			groups[i] = w.group(numbered("g", i), "acme")
		}
		w.atOnce(len(groups), func(i int) error { return w.s.AddMember(t.Context(), act(root), groups[i].ID, root.ID) })
		w.atOnce(12, func(i int) error {
			_, err := w.s.UpdateUser(t.Context(), act(root), root.ID, store.UserChange{Profile: map[string]string{"nickname": numbered("n", i)}})
			return err
		})
	})
}

func TestAUsersGroupsAreCountedByOneTransactionAtATime(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		clock := storetest.NewClock()
		w := &world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(clock)), clock: clock}
		u := w.add("ada", identity.Viewer, "acme")
		w.joinMany(url, u, store.MaxGroups-5)
		more := make([]identity.Group, 12)
		for i := range more {
			more[i] = w.group(numbered("more", i), "acme")
		}
		var all sync.WaitGroup
		for _, g := range more {
			all.Go(func() { _ = w.s.AddMember(t.Context(), system("add"), g.ID, u.ID) })
		}
		all.Wait()
		member := 0
		for _, g := range more {
			_, members, err := w.s.Group(t.Context(), identity.Actor{Kind: identity.ActorSystem}, g.ID, false)
			w.ok(err)
			member += len(members)
		}
		if member != 5 {
			t.Errorf("twelve concurrent operations made %d groups of %d", store.MaxGroups-5+member, store.MaxGroups)
		}
	})
}

// A refresh token that is presented again ends the family and then its session,
// a logout the session and then its family.
func TestALogoutBesideAReuseDoesNotDeadlock(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		for round := range 40 {
			first := numbered("t", round)
			g := w.login(u, first)
			_, err := w.rotate(first, first+"-next")
			w.ok(err)
			w.atOnce(2, func(i int) error {
				if i == 0 {
					return w.s.EndSession(w.t.Context(), act(u), g.SessionID)
				}
				if _, err := w.rotate(first, "never"); !errors.Is(err, identity.ErrInvalidToken) {
					return fmt.Errorf("a used refresh token: %w", err)
				}
				return nil
			})
		}
	})
}

func TestAChangeOfPasswordBesideARefreshDoesNotDeadlock(t *testing.T) {
	onEach(t, func(w *world) {
		for round := range 40 {
			first := numbered("t", round)
			u := w.add("u"+first, identity.Viewer, "default")
			g := w.login(u, first)
			u = w.user(u.ID)
			w.clock.Advance(time.Hour) // the use of the session is to be written
			w.atOnce(2, func(i int) error {
				if i == 0 {
					_, err := w.change(u, g.SessionID, "", first+"-changed")
					return err
				}
				if _, err := w.rotate(first, first+"-next"); err != nil && !errors.Is(err, identity.ErrInvalidToken) {
					return err
				}
				return nil
			})
		}
	})
}

package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// Lists may take long, and few administrators must not take all connections with them.
func TestListsLeaveConnectionsToOthers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		entered, end := make(chan string, 100), make(chan struct{})
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				by := identity.Actor{Kind: identity.ActorUser, ID: fmt.Sprint("admin", i%5), SessionID: fmt.Sprint(i)}
				err := s.Listing(t.Context(), by, func() {
					entered <- by.ID
					<-end
				})
				if err != nil && fault.KindOf(err) != fault.Throttled {
					t.Error(err)
				}
			})
		}
		if first, second := <-entered, <-entered; first == second {
			t.Errorf("%s reads two lists at a time", first)
		}
		for range 40 {
			if _, _, err := s.Registration(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(entered); n != 0 {
			t.Errorf("%d more lists are read at a time", n)
		}
		close(end)
		all.Wait()
	})
}

func TestAListThatIsCancelledGivesItsPlaceBack(t *testing.T) {
	s := storetest.Open(t)
	by := identity.Actor{Kind: identity.ActorSystem}
	entered, end := make(chan struct{}), make(chan struct{})
	var first sync.WaitGroup
	first.Go(func() {
		_ = s.Listing(t.Context(), by, func() {
			close(entered)
			<-end
		})
	})
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Users(ctx, by, store.ListFilter{}); err == nil {
		t.Error("a second list of the actor is read")
	}
	close(end)
	first.Wait()
	for range 4 {
		if _, err := s.Users(t.Context(), by, store.ListFilter{}); err != nil {
			t.Error(err)
		}
	}
	if n := s.PlacesHeld(); n != 0 {
		t.Errorf("%d actors are kept", n)
	}
}

package store_test

import (
	"context"
	"sync"
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// Lists may take long, and administrators must not take all connections with them.
func TestListsLeaveConnectionsToOthers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		entered, end := make(chan struct{}, 40), make(chan struct{})
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				err := s.Listing(t.Context(), func() {
					entered <- struct{}{}
					<-end
				})
				if err != nil && fault.KindOf(err) != fault.Throttled {
					t.Error(err)
				}
			})
		}
		<-entered
		<-entered
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

func TestAListThatIsCancelledTakesNoPlace(t *testing.T) {
	s := storetest.Open(t)
	end := make(chan struct{})
	var all sync.WaitGroup
	for range 2 {
		entered := make(chan struct{})
		all.Go(func() {
			_ = s.Listing(t.Context(), func() {
				close(entered)
				<-end
			})
		})
		<-entered
	}
	by := identity.Actor{Kind: identity.ActorSystem}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Users(ctx, by, store.ListFilter{}); err == nil {
		t.Error("a third list is read")
	}
	close(end)
	all.Wait()
	for range 4 {
		if _, err := s.Users(t.Context(), by, store.ListFilter{}); err != nil {
			t.Error(err)
		}
	}
}

//go:build unix

package store_test

import (
	"sync"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/adopt"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func TestReplicasStartTogetherThroughAPooler(t *testing.T) {
	storetest.EachPooler(t, func(t *testing.T, settings ...string) {
		for name, script := range map[string]string{"empty": "", "version one": versionOne(t) + goosePostgres} {
			t.Run(name, func(t *testing.T) {
				url := storetest.EmptyPostgres(t)
				if script != "" {
					storetest.Exec(t, url, script)
				}
				url = storetest.Pooler(t, url, settings...)
				var all sync.WaitGroup
				for range 6 {
					all.Go(func() {
						s, err := store.Open(t.Context(), store.Config{URL: url, Adopt: adopt.New(adopt.Config{})})
						if err != nil {
							t.Error(err)
							return
						}
						if err := s.Ping(t.Context()); err != nil {
							t.Error(err)
						}
						if err := s.Close(); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
			})
		}
	})
}

func TestWritesShareThePoolersSessions(t *testing.T) {
	storetest.EachPooler(t, func(t *testing.T, settings ...string) {
		url := storetest.Pooler(t, storetest.Postgres(t), settings...)
		first, second := storetest.OpenURL(t, url), storetest.OpenURL(t, url)
		var all sync.WaitGroup
		for i := range 16 {
			s := []*store.Store{first, second}[i%2]
			all.Go(func() {
				for j := range 20 {
					id := numbered("u", i*100+j)
					if err := s.CreateUser(t.Context(), system("seed"), identity.User{ID: id, EmailKey: id, Role: identity.Viewer}); err != nil {
						t.Error(err)
						return
					}
					if _, err := s.UserByID(t.Context(), id); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	})
}

package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// Durable rotations by the number of clients that wait for one each.
func BenchmarkRotate(b *testing.B) {
	for _, clients := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("sqlite/clients=%d", clients), func(b *testing.B) { benchRotate(b, storetest.Open(b), clients) })
	}
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("postgres/clients=%d", clients), func(b *testing.B) {
			benchRotate(b, storetest.OpenURL(b, storetest.Postgres(b)), clients)
		})
	}
}

func benchRotate(b *testing.B, s *store.Store, clients int) {
	ctx := context.Background()
	admin := store.Act{Action: "seed", By: identity.Actor{System: true}}
	next := func(hash string) store.NewRefresh {
		now := time.Now()
		return store.NewRefresh{Hash: hash, ExpiresAt: now.Add(week), AccessJTI: hash, AccessExpiresAt: now.Add(time.Minute)}
	}
	for i := range clients {
		u := identity.User{ID: itoa(i), EmailKey: itoa(i), PasswordHash: "h", Role: identity.Viewer}
		if err := s.CreateUser(ctx, admin, u); err != nil {
			b.Fatal(err)
		}
		if _, err := s.StartFamily(ctx, admin, u.ID, "h", "f"+itoa(i), time.Now().Add(month), next(fmt.Sprintf("%d-0", i))); err != nil {
			b.Fatal(err)
		}
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	for _, err := range race(clients, func(i int) error {
		for n := 0; left.Add(-1) >= 0; n++ {
			_, err := s.RotateRefresh(ctx, identity.Actor{}, []string{fmt.Sprintf("%d-%d", i, n)}, next(fmt.Sprintf("%d-%d", i, n+1)))
			if err != nil {
				return err
			}
		}
		return nil
	}) {
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rotations/s")
	if stats := s.Stats(); stats.Batches > 0 {
		b.ReportMetric(float64(stats.Transactions)/float64(stats.Batches), "acts/commit")
	}
}

// What each request with an access token costs the database.
func BenchmarkBearer(b *testing.B) {
	s := storetest.Open(b)
	u := identity.User{ID: "u", EmailKey: "u", Role: identity.Viewer}
	if err := s.CreateUser(b.Context(), store.Act{By: identity.Actor{System: true}}, u); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Bearer(b.Context(), "u", "f"); err != nil {
			b.Fatal(err)
		}
	}
}

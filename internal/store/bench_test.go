package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// manner is a way to commit. The product uses only the first.
type manner struct {
	name     string
	sync     string // the value of PRAGMA synchronous
	together bool   // waiting operations share a commit
}

var manners = []manner{
	{"together", "FULL", true},
	{"each", "FULL", false},
	{"normal", "NORMAL", true},
	{"off", "OFF", true},
}

// Rotations per second, without signing, by the number of clients that each wait
// for one: as the product commits them, with a commit for each, and with a
// database that syncs less or never. `make bench-slow` runs it on a slow disk.
func BenchmarkRotations(b *testing.B) {
	rates := map[string]float64{}
	syncs := 0.0
	b.Run("sync", func(b *testing.B) { syncs = benchSync(b) })
	clients := []int{1, 16, 64, 256}
	for _, n := range clients {
		for _, m := range manners {
			b.Run(fmt.Sprintf("clients=%d/%s", n, m.name), func(b *testing.B) {
				s := storetest.Open(b)
				s.CommitAs(b, m.sync, m.together)
				rates[fmt.Sprint(m.name, n)] = benchRotate(b, s, n)
			})
		}
	}
	if len(rates) < len(clients)*len(manners) {
		return // only some were selected
	}
	var table strings.Builder
	fmt.Fprintf(&table, "one sync of 4 KB: %.0f/s\n%8s%10s%10s%10s%10s%10s%10s%10s%10s\n", syncs,
		"clients", "together", "each", "NORMAL", "OFF", "/each", "/NORMAL", "/OFF", "/sync")
	for _, n := range clients {
		rate := func(m string) float64 { return rates[fmt.Sprint(m, n)] }
		t := rate("together")
		fmt.Fprintf(&table, "%8d%10.0f%10.0f%10.0f%10.0f%10.2f%10.2f%10.2f%10.2f\n", n,
			t, rate("each"), rate("normal"), rate("off"), t/rate("each"), t/rate("normal"), t/rate("off"), t/syncs)
	}
	fmt.Printf("rotations per second, and durable ones together over the others\n%s", table.String()) // b.Log prints nothing here
}

// benchSync returns how often a second the disk syncs a page appended to a
// file, as a commit does.
func benchSync(b *testing.B) float64 {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for b.Loop() {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(b.N) / b.Elapsed().Seconds()
}

func benchRotate(b *testing.B, s *store.Store, clients int) (rate float64) {
	return benchRotations(b, s, s.RotateRefresh, clients)
}

// issued is a token that this server issued recently, as in most refreshes.
func issued(hash string) store.PresentedRefresh {
	return store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{hash}, Issued: true}
}

type rotation func(context.Context, identity.Actor, store.PresentedRefresh, store.NewRefresh) (store.Rotation, error)

func benchRotations(b *testing.B, s *store.Store, rotate rotation, clients int) (rate float64) {
	ctx := context.Background()
	admin := store.Act{Action: "seed", By: identity.Actor{Kind: identity.ActorSystem}}
	next := func(hash string) store.NewRefresh {
		now := time.Now()
		return store.NewRefresh{Hash: hash, ExpiresAt: now.Add(week), AccessJTI: hash, AccessExpiresAt: now.Add(time.Minute)}
	}
	for i := range clients {
		u := identity.User{ID: itoa(i), EmailKey: itoa(i), PasswordHash: "h", Role: identity.Viewer}
		if err := s.CreateUser(ctx, admin, u); err != nil {
			b.Fatal(err)
		}
		proof := identity.NewProof(u, time.Now(), identity.MethodPassword)
		family := store.NewFamily{
			ID: "f" + itoa(i), ClientID: identity.FirstPartyClient, ExpiresAt: time.Now().Add(month), First: next(fmt.Sprintf("%d-0", i)),
		}
		if _, err := s.StartSession(ctx, admin, proof, family); err != nil {
			b.Fatal(err)
		}
	}
	before := s.Stats()
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	for _, err := range race(clients, func(i int) error {
		for n := 0; left.Add(-1) >= 0; n++ {
			_, err := rotate(ctx, identity.Actor{}, issued(fmt.Sprintf("%d-%d", i, n)), next(fmt.Sprintf("%d-%d", i, n+1)))
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
	rate = float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "rotations/s")
	after := s.Stats()
	b.ReportMetric(float64(after.Transactions-before.Transactions)/float64(after.Batches-before.Batches), "operations/commit")
	return rate
}

// What each request with an access token costs the database.
func BenchmarkBearer(b *testing.B) {
	s := storetest.Open(b)
	u := identity.User{ID: "u", EmailKey: "u", Role: identity.Viewer}
	if err := s.CreateUser(b.Context(), store.Act{By: identity.Actor{Kind: identity.ActorSystem}}, u); err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	first := store.NewRefresh{Hash: "t", ExpiresAt: now.Add(week), AccessJTI: "jti", AccessExpiresAt: now.Add(time.Minute)}
	family := store.NewFamily{ID: "f", ClientID: identity.FirstPartyClient, ExpiresAt: now.Add(month), First: first}
	if _, err := s.StartSession(b.Context(), store.Act{}, identity.NewProof(u, now, identity.MethodPassword), family); err != nil {
		b.Fatal(err)
	}
	request, cancel := context.WithCancel(b.Context()) // as in net/http
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Bearer(request, "u", "f", "jti"); err != nil {
			b.Fatal(err)
		}
	}
}

// A batch of the purge among 200,000 valid tokens costs the batch, not the table.
func BenchmarkPurge(b *testing.B) {
	url := storetest.SQLite(b)
	if err := storetest.OpenURL(b, url).Close(); err != nil {
		b.Fatal(err)
	}
	storetest.Exec(b, url, `INSERT INTO refresh_families (id, user_id, created_at, expires_at)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
		SELECT 'f' || i, 'u' || i, '2026-11-01T00:00:00.000000Z', '2027-01-01T00:00:00.000000Z' FROM n;
		INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, created_at, access_expires_at)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
		SELECT 't' || i, 'u' || i % 20000, 'f' || (i % 20000 + 1), lower(hex(randomblob(32))),
			strftime('2026-12-%dT%H:%M:%S.000000Z', i, 'unixepoch'), '2026-11-01T00:00:00.000000Z', '2026-11-01T00:15:00.000000Z' FROM n`)
	clock := storetest.NewClock()
	s := storetest.OpenURL(b, url, storetest.WithClock(clock))
	clock.Advance(month)
	purged := 0
	for b.Loop() {
		n, _, err := s.Purge(b.Context(), 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		purged += n
	}
	b.ReportMetric(float64(purged)/float64(b.N), "tokens/batch")
}

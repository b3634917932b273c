package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func TestRotationOnPostgresIsOneStatement(t *testing.T) {
	var log bytes.Buffer
	s := storetest.OpenURL(t, storetest.Postgres(t), func(c *store.Config) {
		c.Echo, c.Log = true, slog.New(slog.NewTextHandler(&log, nil))
	})
	system := store.Act{Action: "test", By: identity.Actor{Kind: identity.ActorSystem}}
	u := identity.User{
		ID: "u1", Email: "a@example.com", EmailKey: "a@example.com", PasswordHash: "h",
		Role: identity.Viewer, OrgID: identity.DefaultOrg, Status: identity.Active,
	}
	if err := s.CreateUser(t.Context(), system, u); err != nil {
		t.Fatal(err)
	}
	var groups []string
	for _, name := range []string{"b", "a"} {
		g, err := s.InsertGroup(t.Context(), system, identity.Group{Name: name, OrgID: identity.DefaultOrg})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AddMember(t.Context(), system, g.ID, u.ID); err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g.ID)
	}
	end := time.Now().Add(time.Hour)
	first := store.NewRefresh{Hash: "one", ExpiresAt: end}
	proof := identity.NewProof(u, time.Now(), identity.MethodPassword)
	family := store.NewFamily{ID: "f1", ClientID: identity.FirstPartyClient, ExpiresAt: end, First: first}
	if _, err := s.StartSession(t.Context(), system, proof, family); err != nil {
		t.Fatal(err)
	}
	log.Reset()
	g, err := s.RotateRefresh(t.Context(), identity.Actor{}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{"one"}}, store.NewRefresh{Hash: "two", ExpiresAt: end.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "msg=sql"); n != 1 {
		t.Errorf("%d statements, want 1:\n%s", n, log.String())
	}
	if g.User.ID != u.ID || g.FamilyID != "f1" || len(g.Groups) != 2 || !strings.Contains(strings.Join(groups, " "), g.Groups[0]) || g.Groups[0] > g.Groups[1] {
		t.Errorf("granted %+v, want the groups %v sorted", g, groups)
	}
}

// A token that is marked used for a cancelled request looks stolen when the client
// presents it again.
func TestATokenStaysUnusedWhenTheRequestIsCancelledInTheQueueForAConnection(t *testing.T) {
	url := storetest.Postgres(t)
	clock := storetest.NewClock()
	w := &world{t: t, s: storetest.OpenURL(t, url+"&pool_max_conns=2", storetest.WithClock(clock)), clock: clock}
	w.login(w.add("ada", identity.Viewer, "acme"), "one")

	outside, err := sql.Open("pgx", url)
	w.ok(err)
	defer outside.Close()
	lock, err := outside.Begin()
	w.ok(err)
	_, err = lock.Exec("LOCK TABLE settings IN ACCESS EXCLUSIVE MODE")
	w.ok(err)
	var holders sync.WaitGroup
	for range 2 {
		holders.Go(func() { _ = w.s.SetRegistration(context.WithoutCancel(t.Context()), system("hold"), true) })
	}
	waiting := func() (n int) {
		w.ok(outside.QueryRow("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n))
		return n
	}
	for waiting() < 2 {
		time.Sleep(5 * time.Millisecond)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.s.RotateRefresh(ctx, identity.Actor{}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{"one"}}, w.next("two")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v after the request was cancelled", err)
	}
	w.ok(lock.Rollback())
	holders.Wait()
	_, err = w.rotate("one", "three")
	w.ok(err)
}

package store_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// unknownTokens presents a made-up token wherever one can be.
func unknownTokens(ctx context.Context, w *world) map[string]error {
	hashes := []string{"unknown", "unknown, keyed"}
	_, rotated := w.s.RotateRefresh(ctx, identity.Actor{}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: hashes}, w.next("next"))
	_, ended := w.s.EndSessionByToken(ctx, store.Act{Action: "logout"}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: hashes})
	_, service := w.s.ServiceTokenByHash(ctx, hashes)
	return map[string]error{"refresh": rotated, "logout": ended, "service token": service}
}

func refusedAsUnknown(err error) bool {
	return errors.Is(err, identity.ErrInvalidToken) || fault.KindOf(err) == fault.NotFound
}

// Anyone can make tokens up, and the writer is shared by all.
func TestAnUnknownTokenDoesNotWaitForTheWriter(t *testing.T) {
	clock := storetest.NewClock()
	w := &world{t: t, s: storetest.Open(t, storetest.WithClock(clock)), clock: clock}
	w.login(w.add("u", identity.Viewer, "default"), "known")
	release := holdLock(t, w.s.Path())
	defer release()
	for name, err := range unknownTokens(t.Context(), w) { // one that waits is refused as unavailable after five seconds
		if !refusedAsUnknown(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What was used is presented again as easily: an assertion, and a code whose second use has
// ended all that there was to end.
func TestAReplayDoesNotWaitForTheWriter(t *testing.T) {
	clock := storetest.NewClock()
	w := &world{t: t, s: storetest.Open(t, storetest.WithClock(clock)), clock: clock}
	w.client("app")
	w.ok(w.s.UseClientAssertion(t.Context(), "app", "used", clock.Now().Add(time.Minute)))
	w.code(w.add("u", identity.Viewer, "default"), "app", "cookie", "code")
	_, err := w.use("app", "code", "first")
	w.ok(err)
	_, err = w.use("app", "code", "second")
	w.is(store.ErrCodeReuse, err)
	release := holdLock(t, w.s.Path())
	defer release()
	w.is(store.ErrAssertionUsed, w.s.UseClientAssertion(t.Context(), "app", "used", clock.Now().Add(time.Minute)))
	_, err = w.use("app", "code", "third")
	w.is(store.ErrNoCode, err)
}

func TestAnUnknownTokenOpensNoTransactionOnPostgres(t *testing.T) {
	var log bytes.Buffer
	clock := storetest.NewClock()
	w := &world{t: t, clock: clock, s: storetest.OpenURL(t, storetest.Postgres(t), storetest.WithClock(clock), func(c *store.Config) {
		c.Echo, c.Log = true, slog.New(slog.NewTextHandler(&log, nil))
	})}
	for name, err := range unknownTokens(t.Context(), w) {
		if !refusedAsUnknown(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The single statement of a rotation, and a read for each.
	if n := strings.Count(log.String(), "msg=sql"); n != 4 || strings.Contains(log.String(), "FOR UPDATE") {
		t.Errorf("%d statements:\n%s", n, log.String())
	}
}

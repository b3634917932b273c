package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// refuse asks n times from the address and returns how long each took.
func refuse(ctx context.Context, rt *Router, address string, n int) []time.Duration {
	took := make([]time.Duration, n)
	var all sync.WaitGroup
	for i := range took {
		all.Go(func() {
			begin := time.Now()
			r := httptest.NewRequest("GET", "/refused", nil).WithContext(ctx)
			r.RemoteAddr = address + ":1"
			w := httptest.NewRecorder()
			rt.ServeHTTP(w, r)
			if took[i] = time.Since(begin); w.Code != http.StatusTooManyRequests {
				took[i] = -1
			}
		})
		time.Sleep(time.Microsecond) // so that they come in order
	}
	all.Wait()
	return took
}

func refusing(t *testing.T) *Router {
	t.Helper()
	rt, err := New(Config{Issuer: "http://localhost:8100", Log: slog.New(slog.DiscardHandler), Groups: []Group{{
		Routes: []Route{{
			Method: "GET", Pattern: "/refused", Access: Anonymous, Credential: NoCredential,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }),
		}},
		Refuse: func(http.ResponseWriter, *http.Request, error) {},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

func TestANetworkThatDoesNotStopAskingIsRefusedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := refusing(t)
		for i, took := range refuse(t.Context(), rt, "192.0.2.1", promptRefusals+5) {
			want := time.Duration(0)
			if i >= promptRefusals {
				want = refusalDelay
			}
			if took != want {
				t.Errorf("refusal %d after %v, want %v", i, took, want)
			}
		}
		time.Sleep(time.Second)
		if took := refuse(t.Context(), rt, "192.0.2.1", 1); took[0] != 0 {
			t.Errorf("the first refusal a second later after %v", took[0])
		}
	})
}

func TestARefusalIsNotDelayedByOtherNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := refusing(t)
		var flood sync.WaitGroup
		flood.Go(func() { refuse(t.Context(), rt, "192.0.2.1", 2*promptRefusals) })
		time.Sleep(refusalDelay / 2)
		if took := refuse(t.Context(), rt, "198.51.100.1", 1); took[0] != 0 {
			t.Errorf("after %v", took[0])
		}
		flood.Wait()
	})
}

func TestACancelledRequestIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := refusing(t)
		refuse(t.Context(), rt, "192.0.2.1", promptRefusals)
		ctx, cancel := context.WithTimeout(t.Context(), refusalDelay/4)
		defer cancel()
		if took := refuse(ctx, rt, "192.0.2.1", 1); took[0] != refusalDelay/4 || rt.refusals.held != 0 {
			t.Errorf("after %v, %d held", took[0], rt.refusals.held)
		}
	})
}

func TestHeldRefusalsAreBounded(t *testing.T) {
	var s refusals
	held := 0
	for range 2 * (promptRefusals + maxHeldRefusals) {
		if s.hold("192.0.2.0/24", 1) {
			held++
		}
	}
	for n := range 2 * maxRefusedNetworks {
		s.hold(fmt.Sprint(n), 1)
	}
	if held != maxHeldRefusals || len(s.networks) != maxRefusedNetworks {
		t.Errorf("%d held, %d networks", held, len(s.networks))
	}
	if s.hold("198.51.100.0/24", 2); len(s.networks) != 1 {
		t.Errorf("%d networks in the next second", len(s.networks))
	}
}

package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/web"
)

func TestReadinessFollowsDatabaseAndDrain(t *testing.T) {
	var broken, keyless error
	h := &health{ping: func(context.Context) error { return broken }, sign: func(context.Context) error { return keyless }}
	ask := func() int {
		w := httptest.NewRecorder()
		h.ready(w, httptest.NewRequest("GET", "/readyz", nil))
		return w.Code
	}
	if got := ask(); got != http.StatusOK {
		t.Errorf("healthy: %d", got)
	}
	broken = errors.New("connection refused")
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("database unavailable: %d", got)
	}
	broken, keyless = nil, errors.New("no key")
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("signing key unavailable: %d", got)
	}
	keyless = nil
	h.draining.Store(true)
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("draining: %d", got)
	}
}

// Readiness is answered beyond every limit, so a flood of it must not reach the database.
func TestFloodOfReadinessChecksLooksAtTheDatabaseOnce(t *testing.T) {
	var looks atomic.Int64
	h := &health{
		ping: func(context.Context) error { looks.Add(1); return nil }, sign: func(context.Context) error { return nil },
		keep: time.Hour,
	}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			w := httptest.NewRecorder()
			if h.ready(w, httptest.NewRequest("GET", "/readyz", nil)); w.Code != http.StatusOK {
				t.Errorf("%d", w.Code)
			}
		})
	}
	all.Wait()
	if looks.Load() != 1 {
		t.Errorf("%d looks", looks.Load())
	}
}

type failingWriter struct {
	fail bool
	got  bytes.Buffer
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.fail {
		return 0, errors.New("disk full")
	}
	return w.got.Write(p)
}

func TestTheLogSurvivesAFullDisk(t *testing.T) {
	w := &failingWriter{fail: true}
	l := NewLogger(w, false)
	l.Warn("lost")
	w.fail = false
	l.Info("kept")
	l.Close()
	l.Info("after close")
	if got := w.got.String(); !strings.Contains(got, "kept") || !strings.Contains(got, "after close") {
		t.Errorf("log is %q", got)
	}
}

func TestTheLogIsTextOnATerminalAndJSONElsewhere(t *testing.T) {
	for terminal, want := range map[bool]string{true: "msg=hello", false: `"msg":"hello"`} {
		var b bytes.Buffer
		l := NewLogger(&b, terminal)
		l.With("a", 1).WithGroup("g").Info("hello", "b", 2)
		l.Close()
		if !strings.Contains(b.String(), want) {
			t.Errorf("terminal %t: %s", terminal, b.String())
		}
	}
}

// These are the only routes that need no credential and are not in the route
// table of the API.
func TestOwnRoutesAreTheseThree(t *testing.T) {
	var got []string
	s := &Server{health: &health{}}
	s.cfg.Config.Server.Host = "127.0.0.1"
	for _, route := range s.ownRoutes(newMetrics("test", time.Now(), slog.New(slog.DiscardHandler))) {
		if route.Access != web.Anonymous || route.Credential != web.NoCredential || !route.RootOnly || route.KnownHosts != (route.Pattern == "/metrics") || route.Always == route.KnownHosts {
			t.Errorf("%s: %+v", route.Pattern, route)
		}
		got = append(got, route.Method+" "+route.Pattern)
	}
	slices.Sort(got)
	if want := []string{"GET /livez", "GET /metrics", "GET /readyz"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

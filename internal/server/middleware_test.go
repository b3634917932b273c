package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func mustProxies(t *testing.T, list ...string) proxies {
	t.Helper()
	p, err := parseProxies(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestClientAddressBelievesOnlyTrustedProxies(t *testing.T) {
	tests := []struct {
		name      string
		proxies   []string
		peer      string
		forwarded []string
		want      string
	}{
		{"no proxies configured", nil, "127.0.0.1:1", []string{"203.0.113.1"}, "127.0.0.1"},
		{"peer is not a proxy", []string{"10.0.0.0/8"}, "192.0.2.1:1", []string{"203.0.113.1"}, "192.0.2.1"},
		{"one hop", []string{"127.0.0.1"}, "127.0.0.1:1", []string{"203.0.113.1"}, "203.0.113.1"},
		{"a forged hop on the left", []string{"127.0.0.1"}, "127.0.0.1:1", []string{"1.2.3.4, 203.0.113.1"}, "203.0.113.1"},
		{"two proxies", []string{"127.0.0.1", "10.0.0.0/8"}, "127.0.0.1:1", []string{"203.0.113.1, 10.1.2.3"}, "203.0.113.1"},
		{"several header lines", []string{"127.0.0.1"}, "127.0.0.1:1", []string{"1.2.3.4", "203.0.113.1"}, "203.0.113.1"},
		{"only proxies", []string{"127.0.0.1", "10.0.0.0/8"}, "127.0.0.1:1", []string{"10.0.0.1"}, "10.0.0.1"},
		{"no header", []string{"127.0.0.1"}, "127.0.0.1:1", nil, "127.0.0.1"},
		{"garbage", []string{"127.0.0.1"}, "127.0.0.1:1", []string{"203.0.113.1, <script>"}, "127.0.0.1"},
		{"port and brackets", []string{"127.0.0.1"}, "127.0.0.1:1", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"mapped IPv4 peer", []string{"127.0.0.1"}, "[::ffff:127.0.0.1]:1", []string{"203.0.113.1"}, "203.0.113.1"},
		{"mapped proxy network", []string{"::ffff:10.0.0.0/104"}, "10.1.2.3:1", []string{"203.0.113.1"}, "203.0.113.1"},
		{"unknown peer", []string{"127.0.0.1"}, "@", []string{"203.0.113.1"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.forwarded
			if got := mustProxies(t, tt.proxies...).clientAddress(r); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseProxiesRefusesGarbage(t *testing.T) {
	if _, err := parseProxies([]string{"10.0.0.0/40"}); err == nil || !strings.Contains(err.Error(), "server.trusted_proxies") {
		t.Errorf("%v, want an error that names the key", err)
	}
	if p := mustProxies(t, "10.1.2.3/8"); p[0] != netip.MustParsePrefix("10.0.0.0/8") {
		t.Errorf("prefix %v is not masked", p[0])
	}
}

func newMiddleware(t *testing.T, next http.HandlerFunc) (*middleware, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	return &middleware{
		next: next, log: slog.New(slog.NewJSONHandler(log, nil)),
		metrics: newMetrics("test"), now: time.Now,
		proxies: mustProxies(t, "192.0.2.1"),
	}, log
}

func TestAPanicIsA500AndTheProcessLives(t *testing.T) {
	m, log := newMiddleware(t, func(http.ResponseWriter, *http.Request) { panic("the reason") })
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusInternalServerError || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", w.Code, w.Header().Get("Content-Type"))
	}
	if strings.Contains(w.Body.String(), "the reason") {
		t.Error("the answer shows the reason of the panic")
	}
	if !strings.Contains(log.String(), "the reason") || !strings.Contains(log.String(), `"status":500`) {
		t.Errorf("the log lacks the panic or the request: %s", log)
	}
}

func TestAPanicInTheMiddleOfAnAnswerBreaksTheConnection(t *testing.T) {
	m, _ := newMiddleware(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("late")
	})
	srv := httptest.NewServer(m)
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		return // broken before the headers left: just as good
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("half an answer looks whole")
	}
}

func TestRequestIDsAreTakenFromProxiesOnly(t *testing.T) {
	tests := []struct {
		name, peer, given string
		kept              bool
	}{
		{"proxy", "192.0.2.1:1", "abc-123_X.y", true},
		{"stranger", "192.0.2.2:1", "abc-123", false},
		{"proxy, forged line", "192.0.2.1:1", "a b", false},
		{"proxy, too long", "192.0.2.1:1", strings.Repeat("a", 65), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := newMiddleware(t, func(http.ResponseWriter, *http.Request) {})
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			r.Header.Set("X-Request-Id", tt.given)
			w := httptest.NewRecorder()
			m.ServeHTTP(w, r)
			if got := w.Header().Get("X-Request-Id"); (got == tt.given) != tt.kept || got == "" {
				t.Errorf("id %q for given %q", got, tt.given)
			}
		})
	}
}

func TestRouteAndMethodLabelsAreBounded(t *testing.T) {
	r := httptest.NewRequest("FROBNICATE", "/no/such/path", nil)
	if route(r) != "unmatched" || method(r) != "OTHER" {
		t.Errorf("route %q, method %q", route(r), method(r))
	}
}

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
	broken = errors.New("gone")
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("database away: %d", got)
	}
	broken, keyless = nil, errors.New("no key")
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("nothing to sign with: %d", got)
	}
	keyless = nil
	h.draining.Store(true)
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("draining: %d", got)
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

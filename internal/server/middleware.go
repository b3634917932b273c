package server

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/pico-auth/pico-auth/internal/httpapi"
)

// requestIDLimit is the longest request id that is taken over from a proxy.
const requestIDLimit = 64

// middleware is everything that is true for every request, in one pass: who
// asks and under which id, one log record, one observation, and a panic that
// ends only its own request.
type middleware struct {
	next    http.Handler
	proxies proxies
	log     *slog.Logger
	metrics *metrics
	now     func() time.Time
}

// ServeHTTP implements http.Handler.
func (m *middleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := m.now()
	client := httpapi.Client{Address: m.proxies.clientAddress(r), RequestID: m.requestID(r)}
	w.Header().Set("X-Request-Id", client.RequestID)
	rec := &recorder{ResponseWriter: w}
	r = r.WithContext(httpapi.WithClient(r.Context(), client))
	defer func() {
		if p := recover(); p != nil {
			m.recovered(rec, r, client, p)
		}
		m.done(rec, r, client, m.now().Sub(start))
	}()
	m.next.ServeHTTP(rec, r)
}

// requestID is the id that a trusted proxy gave the request, else a new one.
func (m *middleware) requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); id != "" && len(m.proxies) > 0 &&
		m.proxies.trusts(peerAddress(r)) && plainID(id) {
		return id
	}
	return rand.Text()
}

func plainID(id string) bool {
	if len(id) > requestIDLimit {
		return false
	}
	for _, c := range []byte(id) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func (m *middleware) recovered(w *recorder, r *http.Request, client httpapi.Client, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		w.aborted = true
		return
	}
	m.log.ErrorContext(r.Context(), "panic",
		"request_id", client.RequestID, "route", route(r), "panic", p, "stack", string(debug.Stack()))
	if w.status != 0 {
		// The answer has begun: the client must see that it is broken.
		w.aborted = true
		return
	}
	httpapi.WriteInternal(w, r)
}

// done writes the one record of the request. The path is not in it: people
// put secrets into paths and queries, so the log names only the route.
func (m *middleware) done(w *recorder, r *http.Request, client httpapi.Client, took time.Duration) {
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	m.metrics.observe(route(r), status, took)
	m.log.LogAttrs(r.Context(), slog.LevelInfo, "request",
		slog.String("request_id", client.RequestID),
		slog.String("method", method(r)),
		slog.String("route", route(r)),
		slog.Int("status", status),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.Int64("bytes", w.bytes),
		slog.String("client", client.Address),
	)
	if w.aborted {
		panic(http.ErrAbortHandler)
	}
}

// route is the pattern that the mux matched, of bounded variety.
func route(r *http.Request) string {
	if r.Pattern == "" {
		return "unmatched"
	}
	return r.Pattern
}

// method is the request's, or OTHER: clients may invent methods without end.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	default:
		return "OTHER"
	}
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status  int
	bytes   int64
	aborted bool
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func statusText(status int) string { return strconv.Itoa(status) }

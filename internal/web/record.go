package web

import (
	"log/slog"
	"net/http"
	"time"
)

// done observes the request and writes its log record. The path is not in it, only the
// route: clients put secrets into paths and queries.
func (rt *Router) done(w *recorder, r *http.Request, took time.Duration) {
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	rt.observe(route(r), status, took)
	if !rt.routes[r.Pattern].quiet(status) {
		rt.logRequest(w, r, status, took)
	}
	if w.aborted {
		panic(http.ErrAbortHandler)
	}
}

// quiet reports whether a response of the status has no log record.
func (m mounted) quiet(status int) bool {
	return m.Route != nil && m.Quiet && status < http.StatusBadRequest
}

func (rt *Router) logRequest(w *recorder, r *http.Request, status int, took time.Duration) {
	facts := FactsOf(r.Context())
	rt.log.LogAttrs(r.Context(), slog.LevelInfo, "request",
		slog.String("request_id", facts.RequestID),
		slog.String("method", method(r)),
		slog.String("route", route(r)),
		slog.Int("status", status),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.Int64("bytes", w.bytes),
		slog.String("client", facts.Address),
		refusal(w.refusal),
	)
}

// refusal is the error code as an attribute; the empty one is left out of the record.
func refusal(code string) slog.Attr {
	if code == "" {
		return slog.Attr{}
	}
	return slog.String("error", code)
}

// route is the pattern that the mux matched; the number of its values is bounded.
func route(r *http.Request) string {
	if r.Pattern == "" {
		return "unmatched"
	}
	return r.Pattern
}

// method is the request's, or OTHER, so that the number of its values is bounded.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	default:
		return "OTHER"
	}
}

// recorder records status and size of the response. It holds a 429 back that must
// wait.
type recorder struct {
	http.ResponseWriter
	request  *http.Request
	refusals *refusals
	refusal  string // the error code of the response; empty: none
	status   int
	bytes    int64
	aborted  bool
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
		if status == http.StatusTooManyRequests {
			w.refusals.wait(w.request.Context(), FactsOf(w.request.Context()).Network)
		}
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

// Unwrap gives http.ResponseController access to the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

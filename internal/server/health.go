package server

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// readyTimeout bounds the database query of a readiness check.
const readyTimeout = 2 * time.Second

// health serves the health checks of supervisors. Live: the process responds.
// Ready: it should get traffic, because the database responds, tokens can be
// signed and no drain has begun.
type health struct {
	ping     func(context.Context) error
	sign     func(context.Context) error
	draining atomic.Bool
}

func (h *health) live(w http.ResponseWriter, _ *http.Request) {
	writeText(w, http.StatusOK, "ok")
}

func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	if h.draining.Load() {
		writeText(w, http.StatusServiceUnavailable, "draining")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := h.ping(ctx); err != nil {
		writeText(w, http.StatusServiceUnavailable, "database unavailable")
		return
	}
	if err := h.sign(ctx); err != nil {
		writeText(w, http.StatusServiceUnavailable, "active signing key unavailable")
		return
	}
	writeText(w, http.StatusOK, "ready")
}

func writeText(w http.ResponseWriter, status int, text string) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

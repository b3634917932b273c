package server

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// readyTimeout bounds the database's answer to a readiness check.
const readyTimeout = 2 * time.Second

// health answers the questions of supervisors. Alive: the process answers.
// Ready: it should get traffic, so the database answers, tokens can be signed
// and no drain began.
type health struct {
	ping     func(context.Context) error
	sign     func(context.Context) error
	draining atomic.Bool
}

func (h *health) live(w http.ResponseWriter, _ *http.Request) {
	answerText(w, http.StatusOK, "ok")
}

func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	if h.draining.Load() {
		answerText(w, http.StatusServiceUnavailable, "draining")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := h.ping(ctx); err != nil {
		answerText(w, http.StatusServiceUnavailable, "the database does not answer")
		return
	}
	if err := h.sign(ctx); err != nil {
		answerText(w, http.StatusServiceUnavailable, "the active signing key is not to be had")
		return
	}
	answerText(w, http.StatusOK, "ready")
}

func answerText(w http.ResponseWriter, status int, text string) {
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

package server

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
)

// readyTimeout bounds the database query of a readiness check.
const readyTimeout = 2 * time.Second

// readyFor is how long one look at the database serves all readiness checks, which
// have no limit.
const readyFor = 200 * time.Millisecond

// health serves the health checks of supervisors. Live: the process responds.
// Ready: it should get traffic, because the database responds, tokens can be
// signed and no drain has begun.
type health struct {
	ping     func(context.Context) error
	sign     func(context.Context) error
	keep     time.Duration // how long a look is kept; zero: it is not
	draining atomic.Bool

	mu     sync.Mutex
	looked time.Time
	wrong  string // what the last look found; empty: nothing
}

func (h *health) live(w http.ResponseWriter, _ *http.Request) {
	writeText(w, http.StatusOK, "ok")
}

func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	if h.draining.Load() {
		writeText(w, http.StatusServiceUnavailable, "draining")
		return
	}
	if wrong := h.look(r.Context()); wrong != "" {
		writeText(w, http.StatusServiceUnavailable, wrong)
		return
	}
	writeText(w, http.StatusOK, "ready")
}

// isReady is ready for the page at /.
func (h *health) isReady(ctx context.Context) bool { return !h.draining.Load() && h.look(ctx) == "" }

// look returns what makes the server unready. One request at a time looks.
func (h *health) look(ctx context.Context) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.looked) < h.keep {
		return h.wrong
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	h.wrong = ""
	if err := h.ping(ctx); store.IsDamaged(err) {
		h.wrong = "database damaged"
	} else if err != nil {
		h.wrong = "database unavailable"
	} else if h.sign(ctx) != nil {
		h.wrong = "active signing key unavailable"
	}
	h.looked = time.Now()
	return h.wrong
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

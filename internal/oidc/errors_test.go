package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/web"
)

// RFC 6749 section 5.2: every refusal is JSON with error, is not cached, and has the
// challenge Basic only when the client used a header to authenticate.
func TestRFC6749Section52Refusals(t *testing.T) {
	busy := fault.New(fault.Throttled, "rate_limited", "too many requests")
	busy.RetryAfter = 1500 * time.Millisecond
	for name, c := range map[string]struct {
		err    error
		header string
		status int
		code   oauth.Code
		retry  string
		basic  bool
	}{
		"invalid_client":            {err: oauth.Refuse(oauth.InvalidClient, "no"), status: 401, code: oauth.InvalidClient},
		"invalid_client over Basic": {err: oauth.Refuse(oauth.InvalidClient, "no"), header: "Basic eDp5", status: 401, code: oauth.InvalidClient, basic: true},
		"invalid_grant over Basic":  {err: fmt.Errorf("x: %w", oauth.Refuse(oauth.InvalidGrant, "no")), header: "Basic eDp5", status: 400, code: oauth.InvalidGrant},
		"not found":                 {err: web.ErrNotFound, status: 404, code: oauth.InvalidRequest},
		"too many":                  {err: busy, status: 429, code: oauth.TemporarilyUnavailable, retry: "2"},
		"too many, of the router":   {err: &web.Error{Status: 429, Code: "x", Detail: "x"}, status: 429, code: oauth.TemporarilyUnavailable, retry: "1"},
		"database down":             {err: fault.Wrap(fault.Unavailable, "x", "secret", io.EOF), status: 503, code: oauth.TemporarilyUnavailable, retry: "1"},
		"cancelled":                 {err: context.Canceled, status: 503, code: oauth.TemporarilyUnavailable, retry: "1"},
		"unknown":                   {err: errors.New("secret"), status: 500, code: oauth.ServerError},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/oauth2/token", nil)
			if c.header != "" {
				r.Header.Set("Authorization", c.header)
			}
			New(Config{Issuer: "https://auth.example"}).refuse(w, r, c.err)
			body := w.Body.String()
			if w.Code != c.status || !strings.HasPrefix(body, `{"error":"`+string(c.code)+`"`) || strings.Contains(body, "secret") {
				t.Errorf("%d %s, want %d %s", w.Code, body, c.status, c.code)
			}
			h := w.Header()
			if h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("Retry-After") != c.retry {
				t.Errorf("headers %v", h)
			}
			if strings.HasPrefix(h.Get("Www-Authenticate"), "Basic ") != c.basic {
				t.Errorf("challenge %q", h.Get("Www-Authenticate"))
			}
		})
	}
}

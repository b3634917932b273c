package oidc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/web"
)

// defaultRetry is the Retry-After of a fault that names none.
const defaultRetry = time.Second

// refusal is an error as a client gets it, RFC 6749 section 5.2.
type refusal struct {
	Code        oauth.Code `json:"error"`
	Description string     `json:"error_description,omitempty"`

	status     int
	retryAfter time.Duration
	challenge  string // WWW-Authenticate; empty: none
}

// refuse writes the response for an error of an endpoint or of the router. It is the
// only place that writes errors of endpoints that do not redirect.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, err error) {
	no := refusalOf(err)
	web.Refused(r.Context(), string(no.Code))
	p.logFailure(r.Context(), no, err)
	switch {
	case no.Code == oauth.InvalidClient && r.Header.Get("Authorization") != "":
		no.challenge = `Basic realm="` + p.issuer + `", charset="UTF-8"` // RFC 6749 section 5.2
	case errors.Is(err, errNoToken):
		no.challenge = "Bearer" // RFC 6750 section 3.1: without an error code
	case no.Code == oauth.InvalidToken, no.Code == oauth.InsufficientScope:
		no.challenge = `Bearer error="` + string(no.Code) + `", error_description="` + no.Description + `"`
	}
	no.write(w)
}

// refusalOf is the one mapping from errors to what a client gets.
func refusalOf(err error) refusal {
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		return refusal{Code: e.Code, Description: e.Description, status: statusOf(e.Code)}
	}
	if e, ok := errors.AsType[*web.Error](err); ok {
		no := refusal{Code: oauth.InvalidRequest, Description: e.Detail, status: e.Status}
		switch {
		case e.Status == http.StatusTooManyRequests, e.Status == http.StatusServiceUnavailable:
			no.Code, no.retryAfter = oauth.TemporarilyUnavailable, defaultRetry
		case e.Status >= http.StatusInternalServerError:
			no.Code = oauth.ServerError
		}
		return no
	}
	f, classified := errors.AsType[*fault.Error](err)
	switch {
	case !classified && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		return refusal{Code: oauth.TemporarilyUnavailable, Description: "the request was cancelled", status: http.StatusServiceUnavailable, retryAfter: defaultRetry}
	case !classified || f.Kind == fault.Internal:
		return refusal{Code: oauth.ServerError, Description: "internal server error", status: http.StatusInternalServerError}
	case f.Kind == fault.Throttled:
		return refusal{Code: oauth.TemporarilyUnavailable, Description: f.Message, status: http.StatusTooManyRequests, retryAfter: cmp.Or(f.RetryAfter, defaultRetry)}
	case f.Kind == fault.Unavailable:
		return refusal{
			Code: oauth.TemporarilyUnavailable, Description: "the service is briefly unavailable; please try again",
			status: http.StatusServiceUnavailable, retryAfter: cmp.Or(f.RetryAfter, defaultRetry),
		}
	case f.Kind == fault.Forbidden:
		return refusal{Code: oauth.AccessDenied, Description: f.Message, status: http.StatusForbidden}
	case f.Kind == fault.Unauthenticated:
		return refusal{Code: oauth.InvalidToken, Description: f.Message, status: http.StatusUnauthorized}
	default:
		return refusal{Code: oauth.InvalidRequest, Description: f.Message, status: http.StatusBadRequest}
	}
}

// statusOf is the status of a refusal in the terms of the protocol.
func statusOf(code oauth.Code) int {
	switch code {
	case oauth.InvalidClient, oauth.InvalidToken: // RFC 6749 section 5.2, RFC 6750 section 3.1
		return http.StatusUnauthorized
	case oauth.InsufficientScope:
		return http.StatusForbidden
	case oauth.ServerError:
		return http.StatusInternalServerError
	case oauth.TemporarilyUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

func (no refusal) write(w http.ResponseWriter) {
	h := w.Header()
	if no.challenge != "" {
		h.Set("Www-Authenticate", no.challenge)
	}
	if no.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(no.retryAfter.Seconds()))))
	}
	writeJSON(w, no.status, no)
}

// writeJSON writes a response that is not cached (RFC 6749 section 5.1).
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own structs
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may have disconnected
}

// logFailure logs a fault of the server once, with its cause.
func (p *Provider) logFailure(ctx context.Context, no refusal, err error) {
	if _, logged := errors.AsType[*web.Error](err); logged || no.status < http.StatusInternalServerError {
		return
	}
	level := slog.LevelError
	switch {
	case ctx.Err() != nil:
		level = slog.LevelDebug // the client has disconnected
	case no.status == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	}
	p.log.LogAttrs(ctx, level, "request failed",
		slog.String("request_id", web.FactsOf(ctx).RequestID), slog.Int("status", no.status), slog.Any("error", err))
}

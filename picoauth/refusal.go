package picoauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ErrNoToken means that a request has no bearer token. The response is a
// challenge without an error code (RFC 6750 section 3.1).
var ErrNoToken = errors.New("picoauth: the request has no bearer token")

// The codes of a Refusal. The first three are those of RFC 6750.
const (
	CodeInvalidRequest    = "invalid_request"
	CodeInvalidToken      = "invalid_token"
	CodeInsufficientScope = "insufficient_scope"
	CodeUnauthenticated   = "unauthenticated" // in the body only, when there is no token
	CodeUnavailable       = "unavailable"     // no key set is available
	CodeInternal          = "internal"
)

// Refusal is why a request is refused, in a form that may be shown to the client:
// it never contains any part of the token.
type Refusal struct {
	Status     int           // HTTP status
	Code       string        // stable code for programs, see the constants
	Detail     string        // sentence for users
	RetryAfter time.Duration // when to try again; zero: no Retry-After
	scope      string        // that the request needs; empty: none
	cause      error
}

// Error is the text for a log, including the cause.
func (r *Refusal) Error() string {
	if r.cause != nil {
		return "picoauth: " + r.Detail + ": " + r.cause.Error()
	}
	return "picoauth: " + r.Detail
}

// Unwrap returns the cause; it is for logs, not for responses.
func (r *Refusal) Unwrap() error { return r.cause }

func invalidRequest(detail string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Code: CodeInvalidRequest, Detail: detail}
}

func invalidToken(detail string, cause error) *Refusal {
	return &Refusal{Status: http.StatusUnauthorized, Code: CodeInvalidToken, Detail: detail, cause: cause}
}

func insufficientScope(detail string) *Refusal {
	return &Refusal{Status: http.StatusForbidden, Code: CodeInsufficientScope, Detail: detail}
}

func unavailable(after time.Duration, cause error) *Refusal {
	return &Refusal{
		Status: http.StatusServiceUnavailable, Code: CodeUnavailable,
		Detail: "the token cannot be checked at the moment", RetryAfter: after, cause: cause,
	}
}

func asRefusal(err error) *Refusal {
	if errors.Is(err, ErrNoToken) {
		return &Refusal{Status: http.StatusUnauthorized, Code: CodeUnauthenticated, Detail: "a bearer token is required"}
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal
	}
	return &Refusal{Status: http.StatusInternalServerError, Code: CodeInternal, Detail: "the request could not be served"}
}

// challenge is the WWW-Authenticate of a refusal, empty for statuses that have
// none.
func (r *Refusal) challenge() string {
	switch r.Code {
	case CodeInvalidRequest, CodeInvalidToken, CodeInsufficientScope:
		challenge := `Bearer error="` + r.Code + `", error_description="` + strings.Map(describable, r.Detail) + `"`
		if r.scope != "" {
			challenge += `, scope="` + r.scope + `"`
		}
		return challenge
	}
	if r.Status == http.StatusUnauthorized {
		return "Bearer"
	}
	return ""
}

// describable replaces characters that RFC 6750 section 3 does not allow in an
// error_description.
func describable(c rune) rune {
	if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
		return '?'
	}
	return c
}

// problem is the body of a refusal, RFC 9457.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Error  string `json:"error"`
}

func (r *Refusal) write(w http.ResponseWriter) {
	body, err := json.Marshal(problem{
		Type: "about:blank", Title: http.StatusText(r.Status), Status: r.Status, Detail: r.Detail, Error: r.Code,
	})
	if err != nil {
		body = nil // a struct of strings and an int always marshals
	}
	h := w.Header()
	if challenge := r.challenge(); challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	if r.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((r.RetryAfter+time.Second-1)/time.Second)))
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Content-Length")
	w.WriteHeader(r.Status)
	_, _ = w.Write(body) // the client may have disconnected
}

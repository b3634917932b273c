package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/web"
	"github.com/pico-auth/pico-auth/picoauth"
)

const (
	problemType = "application/problem+json"

	// challenge is the challenge of a 401 without a token.
	challenge = "Bearer"

	// defaultRetry is the Retry-After of a fault that names none.
	defaultRetry = time.Second

	// maxFieldProblems limits the response to a body with thousands of faults.
	maxFieldProblems = 20
)

// problem is the body of every refusal: RFC 9457 with the fields error and
// errors. It is an error, so that handlers and huma can return it.
type problem struct {
	Type      string         `json:"type" doc:"Always about:blank: the field error says what happened."`
	Title     string         `json:"title" doc:"The name of the status."`
	Status    int            `json:"status" doc:"The HTTP status."`
	Detail    string         `json:"detail" doc:"A sentence for users. It may change; programs use error."`
	Code      string         `json:"error" doc:"A stable code for programs."`
	Errors    []fieldProblem `json:"errors,omitempty" nullable:"false" doc:"The faults and their places, when the request has the wrong shape or content."`
	RequestID string         `json:"request_id,omitempty" doc:"Only when the server is at fault: quote it to the operator, who finds the cause in the log under it."`

	retryAfter time.Duration
	limit      fault.Limit // of a 429
	challenge  string
}

// fieldProblem is one fault in one place. It never contains the submitted value,
// which may be a password.
type fieldProblem struct {
	Location string `json:"location" doc:"Where: a dotted path that begins with body or query." example:"body.name"`
	Message  string `json:"message" doc:"A sentence for users." example:"name must not be blank"`
}

// Error implements error.
func (p *problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (*problem) ContentType(string) string { return problemType }

// GetHeaders implements huma.HeadersError.
func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.challenge != "" {
		h.Set("Www-Authenticate", p.challenge)
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", seconds(p.retryAfter))
	}
	if p.Status == http.StatusTooManyRequests {
		setRateLimit(h, p.limit, p.retryAfter)
	}
	return h
}

// setRateLimit writes the fields of draft-ietf-httpapi-ratelimit-headers-11. Nothing
// is left of the quota until the wait ends. A limit without a quota has no policy.
func setRateLimit(h http.Header, limit fault.Limit, wait time.Duration) {
	name := `"` + cmp.Or(limit.Name, "capacity") + `"`
	h.Set("Ratelimit", name+";r=0;t="+seconds(wait))
	if limit.Quota > 0 {
		h.Set("Ratelimit-Policy", name+";q="+strconv.Itoa(limit.Quota)+";w="+seconds(limit.Window))
	}
}

// seconds rounds up: an attempt after so many is not too early.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

func newProblem(status int, code, detail string) *problem {
	p := &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
	if status == http.StatusUnauthorized {
		p.challenge = challenge
		if code == picoauth.CodeInvalidToken {
			p.challenge = challengeFor(code, detail)
		}
	}
	return p
}

// ProblemDocument is the body of a refusal that no handler writes.
func ProblemDocument(status int, code, detail string) []byte {
	body, err := json.Marshal(newProblem(status, code, detail))
	if err != nil {
		panic(err) // strings
	}
	return append(body, '\n')
}

// challengeFor is the challenge for a presented token (RFC 6750, section
// 3). The detail is one of our sentences, in ASCII without quotes.
func challengeFor(code, detail string) string {
	return `Bearer error="` + code + `", error_description="` + detail + `"`
}

// ofGuard returns the refusal of an access token.
func ofGuard(err error) *problem {
	var r *picoauth.Refusal
	switch {
	case errors.Is(err, picoauth.ErrNoToken):
		return newProblem(http.StatusUnauthorized, picoauth.CodeUnauthenticated, "an access token is required")
	case !errors.As(err, &r) || r.Status >= http.StatusInternalServerError:
		return nil
	}
	p := newProblem(r.Status, r.Code, r.Detail)
	p.challenge = challengeFor(r.Code, r.Detail)
	return p
}

// statusOf is the one mapping from kinds to statuses, with the default code of a
// fault.
func statusOf(kind fault.Kind) (status int, code string) {
	switch kind {
	case fault.Invalid:
		return http.StatusUnprocessableEntity, "validation_failed"
	case fault.Unauthenticated:
		return http.StatusUnauthorized, "unauthenticated"
	case fault.Forbidden:
		return http.StatusForbidden, "forbidden"
	case fault.NotFound:
		return http.StatusNotFound, "not_found"
	case fault.Conflict:
		return http.StatusConflict, "conflict"
	case fault.Gone:
		return http.StatusGone, "gone"
	case fault.Throttled:
		return http.StatusTooManyRequests, "rate_limited"
	case fault.Unavailable:
		return http.StatusServiceUnavailable, "unavailable"
	default:
		return http.StatusInternalServerError, "internal_error"
	}
}

// problemOf turns the error of a route into the response for the client. An
// unclassified error is a 500 without details.
func problemOf(ctx context.Context, rt *route, err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if e, ok := errors.AsType[*web.Error](err); ok {
		p := newProblem(e.Status, e.Code, e.Detail)
		if e.Status >= http.StatusInternalServerError {
			p.RequestID = web.FactsOf(ctx).RequestID
		}
		if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
			p.retryAfter = defaultRetry
		}
		return p
	}
	if p := ofGuard(err); p != nil {
		return p
	}
	f := classify(err)
	status, code := statusOf(f.Kind)
	var p *problem
	switch {
	case status == http.StatusServiceUnavailable:
		p = newProblem(status, "unavailable", "the service is briefly unavailable; please try again")
	case status >= http.StatusInternalServerError:
		p = newProblem(status, cmp.Or(f.Code, code), "internal server error")
	default:
		p = newProblem(status, cmp.Or(f.Code, code), f.Message)
	}
	if status >= http.StatusInternalServerError {
		p.RequestID = web.FactsOf(ctx).RequestID
	}
	if f.Kind == fault.Throttled || f.Kind == fault.Unavailable {
		p.retryAfter, p.limit = cmp.Or(f.RetryAfter, defaultRetry), f.Limit
	}
	for _, field := range f.Fields[:min(len(f.Fields), maxFieldProblems)] {
		p.Errors = append(p.Errors, fieldProblem{Location: rt.locate(field.Name), Message: field.Message})
	}
	return p
}

func classify(err error) *fault.Error {
	var f *fault.Error
	var r *picoauth.Refusal
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &r) && r.Status == http.StatusServiceUnavailable:
		f = fault.Wrap(fault.Unavailable, "unavailable", "the key set cannot be used", err)
		f.RetryAfter = r.RetryAfter
		return f
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Unavailable, "unavailable", "the request was cancelled", err)
	default:
		return fault.Wrap(fault.Internal, "internal_error", "unclassified error", err)
	}
}

// refuse is problemOf, records the error code for the log, and logs a fault of the server once, with its cause.
func (a *API) refuse(ctx context.Context, rt *route, err error) *problem {
	p := problemOf(ctx, rt, err)
	web.Refused(ctx, p.Code)
	if errors.Is(err, identity.ErrReauthenticate) {
		p.challenge = `Bearer error="insufficient_user_authentication"` // RFC 9470 section 3
		if a.privileged > 0 {
			p.challenge += fmt.Sprintf(`, max_age="%d"`, a.privileged/time.Second)
		}
	}
	if _, logged := errors.AsType[*web.Error](err); logged || p.Status < http.StatusInternalServerError {
		return p
	}
	level := slog.LevelError
	if p.Status == http.StatusServiceUnavailable {
		level = slog.LevelWarn
	}
	if ctx.Err() != nil {
		level = slog.LevelDebug // the client has disconnected
	}
	a.log.LogAttrs(ctx, level, "request failed",
		slog.String("request_id", web.FactsOf(ctx).RequestID), slog.Int("status", p.Status), slog.Any("error", err))
	return p
}

// refuseWith is the Refuse of the API's routes.
func (a *API) refuseWith(w http.ResponseWriter, r *http.Request, err error) {
	writeProblem(w, a.refuse(r.Context(), &route{}, err))
}

// Refuse writes the refusal of a request by a server that has no API yet.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(r.Context(), &route{}, err)
	web.Refused(r.Context(), p.Code)
	writeProblem(w, p)
}

func writeProblem(w http.ResponseWriter, p *problem) {
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers only
	}
	h := w.Header()
	maps.Copy(h, p.GetHeaders())
	h.Set("Content-Type", problemType)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // the client may have disconnected
}

// configureHuma sets huma's package variables, the only way to configure this:
// its own refusals become our problem documents, and field names match exactly. It
// runs once, because every API of a process shares them.
var configureHuma = sync.OnceFunc(func() {
	huma.NewError = func(status int, _ string, errs ...error) huma.StatusError {
		return shapeProblem(status, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		if status >= http.StatusInternalServerError {
			return problemOf(ctx.Context(), &route{}, errors.New(message))
		}
		p := shapeProblem(status, errs)
		web.Refused(ctx.Context(), p.Code)
		return p
	}
	huma.ValidateStrictCasing = true
})

// shapeProblem rewrites huma's refusal of a request. It takes only the place and the
// kind of fault of its details: they also have the submitted value.
func shapeProblem(status int, errs []error) *problem {
	switch status {
	case http.StatusBadRequest:
		return newProblem(status, "malformed_json", "the request body is not a JSON document that this endpoint accepts")
	case http.StatusUnprocessableEntity:
	default:
		return newProblem(status, "bad_request", http.StatusText(status))
	}
	p := newProblem(status, "validation_failed", "the request does not have the right shape: see errors")
	for _, err := range errs {
		if d, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			p.Errors = append(p.Errors, shapeField(d))
		}
	}
	// huma iterates over a map, so its order varies.
	slices.SortFunc(p.Errors, func(a, b fieldProblem) int {
		return cmp.Or(cmp.Compare(a.Location, b.Location), cmp.Compare(a.Message, b.Message))
	})
	p.Errors = p.Errors[:min(len(p.Errors), maxFieldProblems)]
	return p
}

// nameable matches the field names that may be repeated to the sender.
var nameable = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(body|query|path)(\.[A-Za-z_][A-Za-z0-9_-]{0,63})?$`)
})

func shapeField(d *huma.ErrorDetail) fieldProblem {
	f := fieldProblem{Location: d.Location, Message: d.Message}
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	if name, ok := strings.CutPrefix(d.Message, before); ok {
		f.Location += "." + strings.TrimSuffix(name, after)
		f.Message = "this field is required"
	}
	if d.Message == validation.MsgUnexpectedProperty {
		f.Message = "unknown field"
	}
	if strings.HasPrefix(d.Message, "invalid date/time for format ") {
		f.Message = "expected a time such as 2026-11-27T15:04:05Z"
	}
	if !nameable().MatchString(f.Location) {
		f.Location, _, _ = strings.Cut(f.Location, ".")
	}
	return f
}

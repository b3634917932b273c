package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/web"
	"github.com/pico-auth/pico-auth/picoauth"
)

func TestEveryKindHasItsStatus(t *testing.T) {
	for _, c := range []struct {
		err        error
		status     int
		code       string
		retryAfter string
		challenge  string
	}{
		{fault.BadField("name", "name must not be blank"), 422, "validation_failed", "", ""},
		{fault.New(fault.Unauthenticated, "invalid_credentials", "no"), 401, "invalid_credentials", "", "Bearer"},
		{fault.New(fault.Unauthenticated, "invalid_token", "no"), 401, "invalid_token", "", `Bearer error="invalid_token", error_description="no"`},
		{fault.New(fault.Forbidden, "", "no"), 403, "forbidden", "", ""},
		{fault.New(fault.NotFound, "", "no"), 404, "not_found", "", ""},
		{fault.New(fault.Conflict, "email_taken", "no"), 409, "email_taken", "", ""},
		{fault.New(fault.Gone, "", "no"), 410, "gone", "", ""},
		{fault.New(fault.Throttled, "", "no"), 429, "rate_limited", "1", ""},
		{&fault.Error{Kind: fault.Throttled, Message: "no", RetryAfter: 1500 * time.Millisecond}, 429, "rate_limited", "2", ""},
		{fault.New(fault.Unavailable, "", secret), 503, "unavailable", "1", ""},
		{&fault.Error{Kind: fault.Unavailable, Message: secret, RetryAfter: time.Minute}, 503, "unavailable", "60", ""},
		{fault.New(fault.Internal, "", secret), 500, "internal_error", "", ""},
		{fault.New(fault.Kind(200), "", secret), 500, "internal_error", "", ""},
		{errors.New(secret), 500, "internal_error", "", ""},
		{context.Canceled, 503, "unavailable", "1", ""},
		{context.DeadlineExceeded, 503, "unavailable", "1", ""},
		{picoauth.ErrNoToken, 401, "unauthenticated", "", "Bearer"},
		{&picoauth.Refusal{Status: 401, Code: "invalid_token", Detail: "no"}, 401, "invalid_token", "", `Bearer error="invalid_token", error_description="no"`},
		{&picoauth.Refusal{Status: 400, Code: "invalid_request", Detail: "no"}, 400, "invalid_request", "", `Bearer error="invalid_request", error_description="no"`},
		{&picoauth.Refusal{Status: 503, Code: "unavailable", Detail: "no", RetryAfter: 5 * time.Second}, 503, "unavailable", "5", ""},
	} {
		for _, err := range []error{c.err, fmt.Errorf("on the way up: %w", c.err)} {
			ctx := web.WithFacts(t.Context(), web.Facts{RequestID: testRequest})
			rec := httptest.NewRecorder()
			p := problemOf(ctx, &route{}, err)
			writeProblem(rec, p)
			if rec.Code != c.status || p.Code != c.code || rec.Header().Get("Retry-After") != c.retryAfter || rec.Header().Get("Www-Authenticate") != c.challenge {
				t.Errorf("%v: %d %s %v", err, rec.Code, p.Code, rec.Header())
			}
			if strings.Contains(rec.Body.String(), secret) || strings.Contains(rec.Body.String(), "on the way up") {
				t.Errorf("%v: %s", err, rec.Body)
			}
			if (c.status >= 500) != (p.RequestID == testRequest) {
				t.Errorf("%v: request id %q", err, p.RequestID)
			}
		}
	}
}

// TestFaultOfAFieldIsLocatedByTheRoute: the packages below name fields only.
func TestFaultOfAFieldIsLocatedByTheRoute(t *testing.T) {
	rt := &route{query: []string{"limit", "org_id"}, values: []string{"id"}}
	err := fault.Gather(fault.BadField("id", "x"), fault.BadField("org_id", "x"), fault.BadField("email", "x"))
	var got []string
	for _, field := range problemOf(t.Context(), rt, err).Errors {
		got = append(got, field.Location)
	}
	if want := []string{"path.id", "query.org_id", "body.email"}; !slices.Equal(got, want) {
		t.Errorf("locations %q, want %q", got, want)
	}
}

func TestAFaultOfTheServerIsLoggedOnceWithItsCauseAndNoOther(t *testing.T) {
	r := newRig(t)
	ctx := web.WithFacts(t.Context(), web.Facts{RequestID: testRequest})
	if p := r.refuse(ctx, &route{}, fault.Wrap(fault.Internal, "", "broken", errors.New("the cause"))); p.Status != http.StatusInternalServerError {
		t.Errorf("%+v", p)
	}
	if got := r.log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "the cause") || !strings.Contains(got, testRequest) {
		t.Errorf("log: %q", got)
	}
	r.log.Reset()
	if p := r.refuse(ctx, &route{}, fault.New(fault.NotFound, "", "no")); p.Status != http.StatusNotFound {
		t.Errorf("%+v", p)
	}
	if got := r.log.String(); got != "" {
		t.Errorf("log: %q", got)
	}
}

func TestAnUnavailableDatabaseIsA503WithoutDetails(t *testing.T) {
	r := newRig(t)
	access := r.as("superadmin", "default")
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, route := range r.Group().Routes {
		if route.Access == web.Anonymous && route.ID != "login" && route.ID != "refresh" && route.ID != "register" {
			continue
		}
		path := strings.NewReplacer("{id}", "1234", "{user_id}", "1234", "{name}", "x").Replace(route.Pattern)
		body := map[string]string{
			"login":    `{"email":"a@example.com","password":"` + testPassword + `"}`,
			"refresh":  `"` + strings.Repeat("A", 43) + `"`,
			"register": `{"email":"a@example.com","password":"` + testPassword + `"}`,
		}[route.ID]
		a := r.call(route.Method, path, access, body)
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.text("request_id") != testRequest {
			t.Errorf("%s %s: %d %s", route.Method, route.Pattern, a.status, a.raw)
		}
		for _, word := range []string{"sql", "database", "closed"} {
			if strings.Contains(strings.ToLower(string(a.raw)), word) {
				t.Errorf("%s %s: %s", route.Method, route.Pattern, a.raw)
			}
		}
	}
}

func TestPanicIsA500WithoutDetails(t *testing.T) {
	r := newPublic(t)
	r.keys = nil // causes the panic
	a := r.want(http.StatusInternalServerError, r.call(http.MethodGet, "/api/v1/auth/jwks", "", ""))
	if a.text("request_id") != testRequest || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Security-Policy") == "" {
		t.Errorf("%v %s", a.header, a.raw)
	}
	checkProblem(t, a)
}

// TestHumaCannotEcho calls the two variables through which huma makes its own
// refusals, with the arguments that it would pass.
func TestHumaCannotEcho(t *testing.T) {
	configureHuma()
	detail := &huma.ErrorDetail{Location: "body." + secret + " ", Message: "expected string", Value: secret}
	for _, status := range []int{400, 404, 413, 415, 422} {
		got := huma.NewError(status, secret, detail, errors.New(secret))
		if got.GetStatus() != status || strings.Contains(fmt.Sprintf("%+v", got), secret) {
			t.Errorf("%d: %+v", status, got)
		}
	}
	request := humago.NewContext(nil, httptest.NewRequest(http.MethodGet, "/", nil), nil)
	op := huma.NewErrorWithContext(request, 500, secret, errors.New(secret))
	if op.GetStatus() != 500 || strings.Contains(fmt.Sprintf("%+v", op), secret) {
		t.Errorf("%+v", op)
	}
}

func TestTheRecordOfARefusedRequestHasItsErrorCode(t *testing.T) {
	r := newRig(t)
	log := new(testrig.Buffer)
	r.mount(web.Config{Log: slog.New(slog.NewJSONHandler(log, nil))})
	viewer, root := r.as(identity.Viewer, "default"), r.as(identity.Superadmin, "default")
	const users = "/api/v1/auth/users"
	for _, c := range []struct{ method, path, bearer, body string }{
		{"GET", "/unknown", "", ""},
		{"PATCH", "/api/v1/auth/login", "", ""},
		{"GET", users, "", ""},
		{"GET", users, "garbage", ""},
		{"GET", users, viewer, ""},
		{"GET", users + "?limit=0", root, ""},
		{"GET", users + "?cursor=x", root, ""},
		{"POST", users, root, "{"},
		{"POST", users, root, `{"email":1}`},
		{"POST", users, root, `{"email":"a@example.com","password":"x"}`},
		{"PUT", users + "/unknown/role", root, `"viewer"`},
		{"POST", "/api/v1/auth/login", "", `{"email":"a@example.com","password":"x"}`},
		{"POST", "/api/v1/auth/refresh", "", `"x"`},
		{"GET", users, root, ""},
	} {
		log.Reset()
		a := r.call(c.method, c.path, c.bearer, c.body)
		var record struct {
			Message string `json:"msg"`
			Status  int
			Error   string
		}
		if err := json.Unmarshal([]byte(log.String()), &record); err != nil {
			t.Fatalf("%s: %v", log.String(), err)
		}
		if record.Message != "request" || record.Status != a.status || record.Error != a.text("error") || (a.status >= 400) != (record.Error != "") {
			t.Errorf("%s %s: the record has %q, the response %d %q", c.method, c.path, record.Error, a.status, a.text("error"))
		}
	}
}

package picoauth_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/localkeys"
	"github.com/pico-auth/pico-auth/picoauth"
	"github.com/pico-auth/pico-auth/picoauth/picoauthtest"
)

// whoami responds with the subject, "nobody" without one.
func whoami(w http.ResponseWriter, r *http.Request) {
	who, ok := picoauth.FromContext(r.Context())
	if !ok {
		who = &picoauth.SecurityContext{Subject: "nobody"}
	}
	_, _ = io.WriteString(w, who.Subject)
}

// refusal is what a client sees of a refusal.
type refusal struct {
	Status    int
	Challenge string
	Error     string
}

const (
	plainChallenge = "Bearer"
	malformed      = `Bearer error="invalid_request", error_description="the Authorization header must be the word Bearer, a space and one token"`
)

func TestRequestsWithoutAValidTokenAreRefusedAsInRFC6750(t *testing.T) {
	issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm("EdDSA"))
	g := localGuard(t, issuer)
	handler := g.Require(http.HandlerFunc(whoami))
	good := issuer.Mint()
	cut := strings.LastIndex(good, ".") + 1
	changed := good[:cut] + strings.Repeat("A", len(good)-cut)
	expired := issuer.Mint(picoauthtest.Claims{"exp": time.Now().Add(-time.Second).Unix()})
	invalid := func(why string) string {
		return `Bearer error="invalid_token", error_description="` + why + `"`
	}
	for name, c := range map[string]struct {
		target string
		header []string
		want   refusal
	}{
		"no header":               {"/", nil, refusal{401, plainChallenge, "unauthenticated"}},
		"another scheme":          {"/", []string{"Basic dTpw"}, refusal{401, plainChallenge, "unauthenticated"}},
		"empty header":            {"/", []string{""}, refusal{401, plainChallenge, "unauthenticated"}},
		"token without a scheme":  {"/", []string{good}, refusal{401, plainChallenge, "unauthenticated"}},
		"scheme with a suffix":    {"/", []string{"Bearers " + good}, refusal{401, plainChallenge, "unauthenticated"}},
		"token in the query only": {"/?access_token=" + good, nil, refusal{401, plainChallenge, "unauthenticated"}},
		"scheme alone":            {"/", []string{"Bearer"}, refusal{400, malformed, "invalid_request"}},
		"scheme and spaces":       {"/", []string{"Bearer   "}, refusal{400, malformed, "invalid_request"}},
		"two tokens":              {"/", []string{"Bearer " + good + " " + good}, refusal{400, malformed, "invalid_request"}},
		"two tokens, comma":       {"/", []string{"Bearer " + good + ",Bearer"}, refusal{400, malformed, "invalid_request"}},
		"parameters":              {"/", []string{"Bearer token=" + good + ", a=b"}, refusal{400, malformed, "invalid_request"}},
		"tab":                     {"/", []string{"Bearer " + good + "\tx"}, refusal{400, malformed, "invalid_request"}},
		"two headers": {
			"/",
			[]string{"Bearer " + good, "Bearer " + good},
			refusal{400, `Bearer error="invalid_request", error_description="the request has more than one Authorization header"`, "invalid_request"},
		},
		"two headers, one Basic": {
			"/",
			[]string{"Basic dTpw", "Bearer " + good},
			refusal{400, `Bearer error="invalid_request", error_description="the request has more than one Authorization header"`, "invalid_request"},
		},
		"header and query": {
			"/?a=b&access_token=x",
			[]string{"Bearer " + good},
			refusal{400, `Bearer error="invalid_request", error_description="the request has a token in more than one place"`, "invalid_request"},
		},
		"nonsense":  {"/", []string{"Bearer nonsense"}, refusal{401, invalid("the token is malformed"), "invalid_token"}},
		"not ASCII": {"/", []string{"Bearer \xff\xfe"}, refusal{401, invalid("the token is malformed"), "invalid_token"}},
		"quotes":    {"/", []string{`Bearer "` + good + `"`}, refusal{401, invalid("the token is malformed"), "invalid_token"}},
		"expired":   {"/", []string{"Bearer " + expired}, refusal{401, invalid("the token has expired"), "invalid_token"}},
		"too long":  {"/", []string{"Bearer " + strings.Repeat("a", 17<<10)}, refusal{401, invalid("the token is too long"), "invalid_token"}},
		"changed":   {"/", []string{"Bearer " + changed}, refusal{401, invalid("the token's signature does not verify"), "invalid_token"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", c.target, nil)
			r.Header["Authorization"] = c.header
			if c.header == nil {
				delete(r.Header, "Authorization")
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			checkProblem(t, w, c.want)
			if strings.Contains(w.Body.String(), good) {
				t.Error("the response contains the token")
			}
		})
	}
}

func checkProblem(t *testing.T, w *httptest.ResponseRecorder, want refusal) {
	t.Helper()
	var body struct {
		Type, Title, Detail, Error string
		Status                     int
	}
	decoder := json.NewDecoder(w.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		t.Fatalf("no problem document: %v", err)
	}
	got := refusal{w.Code, w.Header().Get("WWW-Authenticate"), body.Error}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if body.Type != "about:blank" || body.Title != http.StatusText(want.Status) || body.Status != want.Status || body.Detail == "" {
		t.Errorf("problem document %+v", body)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/problem+json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	} {
		if got := w.Header().Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}

func TestValidTokensPass(t *testing.T) {
	issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm("EdDSA"))
	handler := localGuard(t, issuer).Require(http.HandlerFunc(whoami))
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer  "} {
		r := httptest.NewRequest("GET", "/?q=1", nil)
		r.Header.Set("Authorization", scheme+issuer.Mint())
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != 200 || w.Body.String() != "user-1" {
			t.Errorf("%q: %d %s", scheme, w.Code, w.Body)
		}
	}
}

func TestOptionalAdmitsRequestsWithoutAToken(t *testing.T) {
	issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm("EdDSA"))
	handler := localGuard(t, issuer).Optional(http.HandlerFunc(whoami))
	for authorization, want := range map[string]string{
		"":                               "200 nobody",
		"Basic dTpw":                     "200 nobody",
		"Bearer " + issuer.Mint():        "200 user-1",
		"Bearer x":                       "401 {",
		"Bearer":                         "400 {",
		"Bearer " + issuer.Mint() + " x": "400 {",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if got := fmt.Sprint(w.Code, " ", w.Body); !strings.HasPrefix(got, want) {
			t.Errorf("%.12q: %s, want %s", authorization, got, want)
		}
	}
}

func TestRolesAreOrderedAndGroupsAreAnyOf(t *testing.T) {
	ok := http.HandlerFunc(whoami)
	who := func(role picoauth.Role, groups ...string) *picoauth.SecurityContext {
		return &picoauth.SecurityContext{Subject: "u", Role: role, Groups: groups}
	}
	const groupChallenge = `Bearer error="insufficient_scope", error_description="this needs membership of another group"`
	weaker := func(than string) refusal {
		return refusal{403, `Bearer error="insufficient_scope", error_description="this needs at least the role ` + than + `"`, "insufficient_scope"}
	}
	for name, c := range map[string]struct {
		require func(http.Handler) http.Handler
		who     *picoauth.SecurityContext
		want    refusal // zero: passes
	}{
		"the same role":             {picoauth.MinRole(picoauth.Operator), who(picoauth.Operator), refusal{}},
		"a stronger role":           {picoauth.MinRole(picoauth.Operator), who(picoauth.OrgAdmin), refusal{}},
		"superadmin as operator":    {picoauth.MinRole(picoauth.Operator), who(picoauth.Superadmin), refusal{}},
		"superadmin":                {picoauth.MinRole(picoauth.Superadmin), who(picoauth.Superadmin), refusal{}},
		"viewer":                    {picoauth.MinRole(picoauth.Viewer), who(picoauth.Viewer), refusal{}},
		"a weaker role":             {picoauth.MinRole(picoauth.Operator), who(picoauth.Viewer), weaker("operator")},
		"org_admin as superadmin":   {picoauth.MinRole(picoauth.Superadmin), who(picoauth.OrgAdmin), weaker("superadmin")},
		"operator as org_admin":     {picoauth.MinRole(picoauth.OrgAdmin), who(picoauth.Operator), weaker("org_admin")},
		"no role":                   {picoauth.MinRole(picoauth.Viewer), who(0), weaker("viewer")},
		"a number below all roles":  {picoauth.MinRole(picoauth.Viewer), who(-1), weaker("viewer")},
		"role without a token":      {picoauth.MinRole(picoauth.Viewer), nil, refusal{401, plainChallenge, "unauthenticated"}},
		"group":                     {picoauth.RequireGroup("a"), who(0, "b", "a"), refusal{}},
		"one of two groups":         {picoauth.RequireGroup("a", "b"), who(0, "b"), refusal{}},
		"another group":             {picoauth.RequireGroup("a"), who(0, "b"), refusal{403, groupChallenge, "insufficient_scope"}},
		"superadmin without groups": {picoauth.RequireGroup("a"), who(picoauth.Superadmin), refusal{403, groupChallenge, "insufficient_scope"}},
		"no groups named":           {picoauth.RequireGroup(), who(0, "a"), refusal{403, groupChallenge, "insufficient_scope"}},
		"group without a token":     {picoauth.RequireGroup("a"), nil, refusal{401, plainChallenge, "unauthenticated"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			if c.who != nil {
				r = r.WithContext(picoauth.NewContext(r.Context(), c.who))
			}
			w := httptest.NewRecorder()
			c.require(ok).ServeHTTP(w, r)
			if c.want == (refusal{}) {
				if w.Code != 200 {
					t.Errorf("refused: %d %s", w.Code, w.Body)
				}
				return
			}
			checkProblem(t, w, c.want)
		})
	}
}

func TestANilSecurityContextIsInNoGroup(t *testing.T) {
	if _, ok := picoauth.FromContext(picoauth.NewContext(t.Context(), nil)); ok {
		t.Error("a nil SecurityContext is in a group")
	}
}

func TestRefuseShowsOnlyRefusals(t *testing.T) {
	g := localGuard(t, picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm("EdDSA")))
	for name, c := range map[string]struct {
		err  error
		want refusal
	}{
		"any other error": {errors.New("secret"), refusal{500, "", "internal"}},
		"nil":             {nil, refusal{500, "", "internal"}},
		"the caller's own": {
			&picoauth.Refusal{Status: 401, Code: picoauth.CodeInvalidToken, Detail: "revoked: \"a\\b\"\r\nX: y"},
			refusal{401, `Bearer error="invalid_token", error_description="revoked: ?a?b???X: y"`, "invalid_token"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			g.Refuse(w, httptest.NewRequest("GET", "/", nil), c.err)
			if strings.Contains(w.Body.String(), "secret") {
				t.Error("the cause is shown")
			}
			checkProblem(t, w, c.want)
		})
	}
}

func TestRefusalsAreLoggedWithoutTheToken(t *testing.T) {
	var log bytes.Buffer
	issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm("EdDSA"))
	g := localGuard(t, issuer, func(cfg *picoauth.Config) {
		cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	token := issuer.Mint(picoauthtest.Claims{"aud": "elsewhere"})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	g.Require(http.HandlerFunc(whoami)).ServeHTTP(httptest.NewRecorder(), r)
	if !strings.Contains(log.String(), "another audience") || strings.Contains(log.String(), token[:20]) || strings.Contains(log.String(), "elsewhere") {
		t.Errorf("log: %s", &log)
	}
}

func TestNewRefusesUnsafeConfigs(t *testing.T) {
	const issuer = "https://issuer.test"
	for name, c := range map[string]struct {
		cfg picoauth.Config
		ok  bool
	}{
		"https":                 {picoauth.Config{Issuer: issuer, Audience: "a"}, true},
		"https with path":       {picoauth.Config{Issuer: issuer + "/auth/", Audience: "a"}, true},
		"http localhost":        {picoauth.Config{Issuer: "http://localhost:8100", Audience: "a"}, true},
		"http 127.0.0.2":        {picoauth.Config{Issuer: "http://127.0.0.2:8100", Audience: "a"}, true},
		"http ::1":              {picoauth.Config{Issuer: "http://[::1]:8100", Audience: "a"}, true},
		"http elsewhere, local": {picoauth.Config{Issuer: "http://auth.lan", Audience: "a", Client: localkeys.Client(nil, nil)}, true},
		"leeway of a minute":    {picoauth.Config{Issuer: issuer, Audience: "a", Leeway: time.Minute}, true},
		"named algorithms":      {picoauth.Config{Issuer: issuer, Audience: "a", Algorithms: []string{"RS256", "ML-DSA-65"}}, true},
		"keys elsewhere":        {picoauth.Config{Issuer: issuer, Audience: "a", JWKSURL: "https://keys.test/jwks"}, true},
		"issuer is no URL":      {picoauth.Config{Issuer: "pico-auth", Audience: "a", JWKSURL: "https://keys.test/jwks"}, true},
		"AllowHTTP":             {picoauth.Config{Issuer: "http://pico-auth:8100", Audience: "a", AllowHTTP: true}, true},
		"AllowHTTP, keys":       {picoauth.Config{Issuer: issuer, Audience: "a", JWKSURL: "http://pico-auth:8100/jwks", AllowHTTP: true}, true},
		"AllowHTTP, https":      {picoauth.Config{Issuer: issuer, Audience: "a", AllowHTTP: true}, true},
		"AllowHTTP, file":       {picoauth.Config{Issuer: issuer, Audience: "a", JWKSURL: "file://h/etc/keys", AllowHTTP: true}, false},
		"AllowHTTP, user@":      {picoauth.Config{Issuer: "http://u:p@pico-auth", Audience: "a", AllowHTTP: true}, false},
		"no issuer":             {picoauth.Config{Audience: "a"}, false},
		"no audience":           {picoauth.Config{Issuer: issuer}, false},
		"http":                  {picoauth.Config{Issuer: "http://issuer.test", Audience: "a"}, false},
		"http private address":  {picoauth.Config{Issuer: "http://192.168.0.1:8100", Audience: "a"}, false},
		"http ::":               {picoauth.Config{Issuer: "http://[::]:8100", Audience: "a"}, false},
		"http localhost.evil":   {picoauth.Config{Issuer: "http://localhost.evil.test", Audience: "a"}, false},
		"http 127.0.0.1.nip":    {picoauth.Config{Issuer: "http://127.0.0.1.nip.test", Audience: "a"}, false},
		"http user@":            {picoauth.Config{Issuer: "http://localhost@evil.test", Audience: "a"}, false},
		"https user@":           {picoauth.Config{Issuer: "https://u:p@issuer.test", Audience: "a"}, false},
		"JWKSURL http":          {picoauth.Config{Issuer: issuer, Audience: "a", JWKSURL: "http://keys.test/"}, false},
		"JWKSURL file":          {picoauth.Config{Issuer: issuer, Audience: "a", JWKSURL: "file:///etc/keys"}, false},
		"JWKSURL fragment":      {picoauth.Config{Issuer: issuer, Audience: "a", JWKSURL: "https://keys.test/#x"}, false},
		"JWKSURL relative":      {picoauth.Config{Issuer: issuer, Audience: "a", JWKSURL: "/jwks"}, false},
		"issuer not a URL":      {picoauth.Config{Issuer: "pico-auth", Audience: "a"}, false},
		"issuer broken URL":     {picoauth.Config{Issuer: "https://a\x00b", Audience: "a"}, false},
		"leeway over a minute":  {picoauth.Config{Issuer: issuer, Audience: "a", Leeway: time.Minute + 1}, false},
		"unknown algorithm":     {picoauth.Config{Issuer: issuer, Audience: "a", Algorithms: []string{"HS256"}}, false},
		"algorithm none":        {picoauth.Config{Issuer: issuer, Audience: "a", Algorithms: []string{"none"}}, false},
		"no algorithm left":     {picoauth.Config{Issuer: issuer, Audience: "a", Algorithms: []string{}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := picoauth.New(c.cfg)
			if (err == nil) != c.ok || (g == nil) == c.ok {
				t.Errorf("err = %v, want ok = %v", err, c.ok)
			}
			if err != nil && strings.Contains(err.Error(), "u:p") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

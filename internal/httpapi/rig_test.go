package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/pico-auth/pico-auth/internal/client"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/localkeys"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/throttle"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/web"
	"github.com/pico-auth/pico-auth/picoauth"
)

const (
	testAudience = "pico-bot"
	testPassword = "correct horse battery"
	testRequest  = "request-1"
	testMaxAge   = 10 * time.Minute // less than the lifetime of an access token
)

// system is the actor that makes what a test needs.
var system = identity.Actor{Kind: identity.ActorSystem}

// testKey makes the signing key of all tests once: making an RSA key is slow.
var testKey = sync.OnceValue(func() []byte {
	key, err := jose.Generate(jose.RS256)
	if err != nil {
		panic(err)
	}
	pem, err := key.MarshalPEM()
	if err != nil {
		panic(err)
	}
	return pem
})

// rig is an API over real services and a real database, behind the router.
type rig struct {
	*API
	t      testing.TB
	router *web.Router
	store  *store.Store
	apps   *client.Clients
	limits *throttle.Throttle
	log    *testrig.Buffer
	begun  time.Time
	ahead  *atomic.Int64 // of the clock of everything since then, in nanoseconds

	patterns   *http.ServeMux // finds the route of a request
	documented func() openAPI // every response is compared with it; nil: none is
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, log: new(testrig.Buffer), begun: time.Now(), ahead: new(atomic.Int64)}
	built := testrig.Open(t, func(c *testrig.Config) {
		c.Now, c.MaxAge = r.now, testMaxAge
		c.Keys.Dir, c.Keys.Algorithm = keyFolder(t), jose.RS256
		c.Passwords.ServiceName = "Pico Auth API"
		c.Tokens.Issuer, c.Tokens.Audience = testIssuer(), testAudience
	})
	r.store, r.apps, r.limits = built.Store, built.Clients, built.Throttle
	guard, err := picoauth.New(picoauth.Config{
		Issuer: testIssuer(), Audience: testAudience,
		Client: localkeys.Client(func() []byte { body := built.Keys.Published().JWKS(); return body }, nil),
		Now:    r.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Issuer: testIssuer(), Version: "1.2.3", Log: slog.New(slog.NewTextHandler(r.log, nil)), Directory: built.Directory,
		Login: built.Login, Sessions: built.Sessions, Tokens: built.Tokens, Clients: built.Clients, Requests: built.Authorize, Audit: built.Audit, Keys: built.Keys, Guard: guard,
		PrivilegedMaxAge: testMaxAge,
	}
	r.API = New(cfg)
	r.mount(web.Config{})
	r.documented = func() openAPI {
		document.Do(func() { documented, described = r.document(), r.described() })
		return documented
	}
	return r
}

// documented is the OpenAPI document of every rig: making it is slow.
var (
	document   sync.Once
	documented openAPI
	described  *huma.OpenAPI
)

func (r *rig) document() (doc openAPI) {
	body, err := json.Marshal(r.described())
	if err != nil {
		panic(err)
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		panic(err)
	}
	return doc
}

// now is the clock of everything. It goes on by a microsecond with each look at it, so that
// events have an order, and not with the time that a busy machine takes.
func (r *rig) now() time.Time {
	return r.begun.Add(time.Duration(r.ahead.Add(int64(time.Microsecond))))
}

// mount puts the API on a router that trusts the tests' own address as a proxy.
func (r *rig) mount(cfg web.Config) {
	r.t.Helper()
	cfg.Issuer, cfg.Groups = r.issuer, []web.Group{r.Group()}
	cfg.Proxies = web.Proxies{netip.MustParsePrefix("192.0.2.1/32")}
	router, err := web.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.router, r.patterns = router, http.NewServeMux()
	for _, route := range r.Group().Routes {
		r.patterns.Handle(route.Method+" "+*base+route.Pattern, route.Handler)
	}
}

// signer signs with the key of the API.
func (r *rig) signer() keyring.Signer {
	r.t.Helper()
	signer, err := r.keys.Signer("")
	if err != nil {
		r.t.Fatal(err)
	}
	return signer
}

// keyFolder makes a folder with the key of all tests.
func keyFolder(t testing.TB) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "keys")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "private.pem"), testKey(), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newKeys(t testing.TB) *keyring.Ring {
	t.Helper()
	return testrig.Open(t, func(c *testrig.Config) { c.Keys.Dir, c.Keys.Algorithm = keyFolder(t), jose.RS256 }).Keys
}

// response is the response to a request.
type response struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

// text is the field of that name, empty when it is no string.
func (a response) text(name string) string {
	s, _ := a.body[name].(string)
	return s
}

// serve is the API behind a proxy, which gives each request its ID and does not
// change the path.
func (r *rig) serve(w http.ResponseWriter, req *http.Request) {
	req.Header.Set("X-Request-Id", testRequest)
	req.RemoteAddr = "192.0.2.1:1234"
	if *base != "" && strings.HasPrefix(req.URL.Path, "/") && !strings.HasPrefix(req.URL.Path, *base+"/") {
		below := *req.URL
		below.Path, below.RawPath = *base+req.URL.Path, *base+req.URL.EscapedPath()
		req.URL = &below
	}
	web.Unambiguous(r.router).ServeHTTP(w, req)
}

// do sends a request and reads the response.
func (r *rig) do(req *http.Request) response {
	r.t.Helper()
	rec := httptest.NewRecorder()
	r.serve(rec, req)
	a := response{status: rec.Code, header: rec.Header(), raw: rec.Body.Bytes()}
	if strings.HasSuffix(a.header.Get("Content-Type"), "json") && len(a.raw) > 0 {
		if err := json.Unmarshal(a.raw, &a.body); err != nil {
			r.t.Fatalf("%s %s: %v in %s", req.Method, req.URL, err, a.raw)
		}
	}
	r.checkDocumented(req, a)
	return a
}

// checkDocumented fails the test when the OpenAPI document lacks the status of a
// response.
func (r *rig) checkDocumented(req *http.Request, a response) {
	r.t.Helper()
	if r.documented == nil {
		return
	}
	_, pattern := r.patterns.Handler(req)
	method, path, _ := strings.Cut(pattern, " ")
	if op, there := r.documented().Paths[strings.TrimPrefix(path, *base)][strings.ToLower(method)]; there {
		if _, there := op.Responses[strconv.Itoa(a.status)]; !there {
			r.t.Errorf("%s returns %d %s, which is not documented", pattern, a.status, a.text("error"))
		}
	}
	for i := range r.routes {
		if rt := &r.routes[i]; rt.Method == method && *base+rt.Pattern == path && rt.typed != nil {
			r.checkShape(pattern, operationOf(described, rt), a)
		}
	}
}

// checkShape fails the test when the body has fields, or null, where the document has
// none.
func (r *rig) checkShape(pattern string, op *huma.Operation, a response) {
	r.t.Helper()
	if op == nil || a.body == nil || op.Responses[strconv.Itoa(a.status)] == nil {
		return
	}
	content := op.Responses[strconv.Itoa(a.status)].Content[strings.Split(a.header.Get("Content-Type"), ";")[0]]
	if content == nil || content.Schema == nil {
		return
	}
	var result huma.ValidateResult
	huma.Validate(described.Components.Schemas, content.Schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, a.body, &result)
	if len(result.Errors) > 0 {
		r.t.Errorf("%s returns what is not documented: %v in %s", pattern, result.Errors[0], a.raw)
	}
}

// call sends body as JSON, unless it is empty, with the access token, unless
// that is empty.
func (r *rig) call(method, path, bearer, body string) response {
	r.t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return r.do(req)
}

// want fails the test unless the response has the status.
func (r *rig) want(status int, a response) response {
	r.t.Helper()
	if a.status != status {
		r.t.Fatalf("got %d, want %d: %s", a.status, status, a.raw)
	}
	return a
}

// user creates a user with the role in the organization.
func (r *rig) user(role identity.Role, org string) identity.User {
	r.t.Helper()
	user, err := r.directory.CreateUser(context.Background(), system, directory.NewUser{
		Email: string(role) + "." + uuid.NewString() + "@example.com", Password: testPassword,
		DisplayName: "Test", Role: string(role), OrgID: org,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return user
}

// session logs a user in.
func (r *rig) session(u identity.User) (access, refresh string) {
	r.t.Helper()
	a := r.want(http.StatusOK, r.call(http.MethodPost, "/api/v1/auth/login", "",
		toJSON(r.t, map[string]string{"email": u.Email, "password": testPassword})))
	return a.text("access_token"), a.text("refresh_token")
}

// as returns an access token of a new user.
func (r *rig) as(role identity.Role, org string) string {
	r.t.Helper()
	access, _ := r.session(r.user(role, org))
	return access
}

// through is an access token for this API that a client of the role holds of a new user.
func (r *rig) through(clientRole, role identity.Role, scope string) string {
	r.t.Helper()
	u := r.user(role, "default")
	access, _ := r.session(u)
	a, err := r.tokens.Verify(r.t.Context(), access)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.ofClient(r.application(clientRole, ""), u, a.SessionID, scope, r.issuer)
}

// application is a client of the organization; empty: of all.
func (r *rig) application(role identity.Role, org string) oauth.Client {
	r.t.Helper()
	c, _, err := r.apps.Create(context.Background(), system, oauth.Settings{
		"kind": "web", "redirect_uris": []string{"https://app.example/callback"}, "scopes": []string{"openid", "account", "admin"}, "role": string(role), "org_id": org,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// ofClient is an access token of the client; without a user, of client credentials.
func (r *rig) ofClient(c oauth.Client, u identity.User, session, scope, audience string) string {
	r.t.Helper()
	g := token.Grant{ClientID: c.ID, Scope: scope, Audience: audience, Typ: jose.TypeAccessToken}
	pair, err := r.tokens.Mint(context.Background(), g, func(context.Context, *store.NewFamily) (store.Subject, error) {
		return store.Subject{User: u, SessionID: session}, nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return pair.AccessToken
}

// organization makes an empty organization.
func (r *rig) organization() identity.Organization {
	r.t.Helper()
	o, err := r.directory.CreateOrganization(context.Background(), system, directory.NewOrganization{Name: "Empty"})
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

// group makes a group.
func (r *rig) group(org string) identity.Group {
	r.t.Helper()
	g, err := r.directory.CreateGroup(context.Background(), system,
		directory.NewGroup{Name: "group " + uuid.NewString(), OrgID: org})
	if err != nil {
		r.t.Fatal(err)
	}
	return g
}

func toJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// under is the same rig for a test within the test, such as a fuzz target.
func (r *rig) under(t testing.TB) *rig {
	inner := *r
	inner.t = t
	return &inner
}

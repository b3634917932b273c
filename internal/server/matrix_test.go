package server_test

import (
	"crypto/rand"
	"flag"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/web"
)

var updateMatrix = flag.Bool("update-table", false, "write the table of the test into docs/authorization.md")

// sender is one column of the matrix: a kind of credential, and how a request has it.
type sender struct {
	name string
	add  func(req *http.Request)
}

// matrixRig is a server with one of everything that a request may present.
type matrixRig struct {
	t        *testing.T
	s        *running
	client   signIn
	senders  []sender
	admin    string // an access token that makes what the others need
	access   string // of the JSON login that is a column
	password string // of the user whose browser is a column
	home     string // the first page, which names the assets
	secret   string // the cookies of that browser
}

func bearerOf(token string) func(*http.Request) {
	return func(req *http.Request) { req.Header.Set("Authorization", "Bearer "+token) }
}

// newMatrixRig makes the credentials. Those of the JSON login and of the client are of
// superadmins, whom every rule of a role admits: what is refused is refused for the kind
// of credential.
func newMatrixRig(t *testing.T) (*matrixRig, []web.Route) {
	t.Helper()
	routes := server.RoutesOf(t, testConfig(t.TempDir()))
	s, _ := startAtIssuer(t, "", nil)
	admin, refresh := s.login("admin@pico.local", "admin")
	r := &matrixRig{t: t, s: s, admin: admin, password: "correct horse battery"}
	r.access = r.login()
	_, r.home, _ = get(t, s.base+"/", nil)
	const callback = "https://app.example/callback"
	create := func(fields map[string]any) (id, secret string) {
		t.Helper()
		status, c := s.call("POST", "/api/v1/clients", admin, fields)
		if status != http.StatusCreated {
			t.Fatalf("%d %v", status, c)
		}
		secret, _ = c["client_secret"].(string)
		return c["client_id"].(string), secret
	}
	id, secret := create(map[string]any{
		"name": "Wiki", "kind": "web", "redirect_uris": []string{callback}, "first_party": true,
		"grant_types": []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"},
	})
	r.client = signIn{t: t, s: s, id: id, secret: secret, callback: callback}
	tokens := r.client.exchange(url.Values{"grant_type": {"authorization_code"}, "code": {r.client.code()}, "redirect_uri": {callback}, "code_verifier": {pkceVerifier}})
	machine, machineSecret := create(map[string]any{"name": "Batch", "kind": "machine", "scopes": []string{"read"}, "audiences": []string{"https://other.example"}})
	batch := signIn{t: t, s: s, id: machine, secret: machineSecret}.exchange(url.Values{"grant_type": {"client_credentials"}})
	service := s.must("POST", "/api/v1/auth/service-tokens", admin, map[string]any{"name": "backup", "role": "org_admin"})["token"].(string)
	exchanged := s.must("POST", "/api/v1/auth/service-tokens/exchange", service, nil)["access_token"].(string)

	s.must("POST", "/api/v1/auth/register", "", map[string]any{"email": "ada@example.com", "password": r.password})
	browser := r.browser()
	ended := r.browser()
	r.form(ended, "/account/sign-out")
	basic := func(id, secret string) func(*http.Request) {
		return func(req *http.Request) { req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
	}
	r.secret = browser
	r.senders = []sender{
		{"none", func(*http.Request) {}},
		{"login", func(req *http.Request) { bearerOf(r.access)(req) }},
		{"refresh", bearerOf(refresh)},
		{"cookie", func(req *http.Request) { req.Header.Set("Cookie", r.secret) }},
		{"ended", func(req *http.Request) { req.Header.Set("Cookie", ended) }},
		{"x-site", func(req *http.Request) {
			req.Header.Set("Cookie", r.secret)
			req.Header.Set("Sec-Fetch-Site", "cross-site")
		}},
		{"ID", bearerOf(tokens["id_token"].(string))},
		{"openid", bearerOf(tokens["access_token"].(string))},
		{"rt", bearerOf(tokens["refresh_token"].(string))},
		{"batch", bearerOf(batch["access_token"].(string))},
		{"service", bearerOf(service)},
		{"exch.", bearerOf(exchanged)},
		{"client", basic(id, secret)},
		{"secret", basic(id, secret+"x")},
	}
	return r, routes
}

// login signs a new superadmin in at the API.
func (r *matrixRig) login() (access string) {
	r.t.Helper()
	email := rand.Text() + "@example.com"
	r.s.must("POST", "/api/v1/auth/users", r.admin, map[string]any{"email": email, "password": r.password, "role": "superadmin"})
	access, _ = r.s.login(email, r.password)
	return access
}

// browser signs the user in on the page, and returns the header of the cookies.
func (r *matrixRig) browser() string {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	c := http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.PostForm(r.s.base+"/sign-in", url.Values{"email": {"ada@example.com"}, "password": {r.password}})
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	var cookies []string
	for _, cookie := range jar.Cookies(resp.Request.URL) {
		cookies = append(cookies, cookie.Name+"="+cookie.Value)
	}
	if resp.StatusCode != http.StatusSeeOther || len(cookies) == 0 {
		r.t.Fatalf("sign-in: %d %v", resp.StatusCode, cookies)
	}
	return strings.Join(cookies, "; ")
}

func (r *matrixRig) form(cookie, path string) {
	r.t.Helper()
	if got := r.send(web.Route{Method: "POST", Pattern: path}, sender{"", func(req *http.Request) { req.Header.Set("Cookie", cookie) }}); got != "303" {
		r.t.Fatalf("%s: %s", path, got)
	}
}

// request are the path and the body and queries with which a route does what it is for, as far as it needs one.
func (r *matrixRig) request(route web.Route) (path, body string) {
	path = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(strings.TrimSuffix(route.Pattern, "{$}"), "x")
	client := url.Values{
		"response_type": {"code"}, "client_id": {r.client.id}, "redirect_uri": {r.client.callback}, "scope": {"openid"}, "state": {"s"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}.Encode()
	switch route.Method + " " + route.Pattern {
	case "GET /oauth2/authorize":
		path += "?" + client
	case "POST /oauth2/authorize":
		body = client
	case "POST /oauth2/token":
		body = "grant_type=refresh_token&refresh_token=x"
	case "POST /oauth2/introspect", "POST /oauth2/revoke":
		body = "token=x"
	case "POST /oauth2/device":
		body = "scope=openid"
	case "GET /assets/{file}":
		path = regexp.MustCompile(`/assets/[^"]+`).FindString(r.home)
	case "GET /docs/{file}":
		path = "/docs/init.js"
	case "POST /sign-in":
		body = url.Values{"email": {"ada@example.com"}, "password": {r.password}}.Encode()
	default:
		if route.Method == http.MethodPost && !strings.HasPrefix(path, "/api/") {
			body = "display_name=Ada"
		}
	}
	return path, body
}

// send returns the cell: the status, or "in" for the page that asks to sign in.
func (r *matrixRig) send(route web.Route, by sender) string {
	r.t.Helper()
	path, body := r.request(route)
	req, err := http.NewRequestWithContext(r.t.Context(), route.Method, r.s.base+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	by.add(req)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		r.t.Errorf("%s %s as %s: %d", route.Method, path, by.name, resp.StatusCode)
	}
	if to, err := resp.Location(); err == nil && to.Path == "/sign-in" {
		return "in"
	}
	return fmt.Sprint(resp.StatusCode)
}

// refusedEverywhere are the senders that no route of the API admits but anonymous ones.
var refusedEverywhere = []string{"none", "refresh", "cookie", "ended", "x-site", "ID", "openid", "rt", "batch", "exch.", "client", "secret"}

// TestEveryRouteRefusesOtherCredentials drives every route of the server, those of the
// provider, the pages and the operator too, with every kind of credential: a session opens
// the protocol that it was made for and no other one. What the roles may do is in the
// table of package httpapi above it.
func TestEveryRouteRefusesOtherCredentials(t *testing.T) {
	r, routes := newMatrixRig(t)
	var table strings.Builder
	fmt.Fprintf(&table, "%-52s", "")
	for _, by := range r.senders {
		fmt.Fprintf(&table, " %*s", max(3, len(by.name)), by.name)
	}
	for _, route := range routes {
		fmt.Fprintf(&table, "\n%-52s", strings.TrimSuffix(route.Method+" "+route.Pattern, "{$}"))
		for _, by := range r.senders {
			got := r.send(route, by)
			fmt.Fprintf(&table, " %*s", max(3, len(by.name)), got)
			api := strings.HasPrefix(route.Pattern, "/api/")
			switch {
			case api && route.Access != web.Anonymous && slices.Contains(refusedEverywhere, by.name) && got != "401" && got != "403":
				t.Errorf("%s %s as %s: %s", route.Method, route.Pattern, by.name, got)
			case !api && route.Access == web.User && by.name == "x-site" && route.Method == http.MethodPost && got != "403":
				t.Errorf("%s %s from another site: %s", route.Method, route.Pattern, got)
			case !api && route.Access == web.User && by.name != "cookie" && by.name != "x-site" && got != "in":
				t.Errorf("%s %s as %s: %s", route.Method, route.Pattern, by.name, got)
			}
			switch { // what it may have ended
			case by.name == "cookie" && route.Method == http.MethodPost && route.Credential == web.Cookie:
				r.secret = r.browser()
			case by.name == "login" && route.Method != http.MethodGet && api:
				r.access = r.login()
			}
		}
	}
	compareTable(t, table.String())
}

// compareTable compares the table with the second one of docs/authorization.md.
func compareTable(t *testing.T, table string) {
	t.Helper()
	const file, place = "../../docs/authorization.md", "## By kind of credential"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(text), place)
	if at < 0 {
		t.Fatalf("%s has no %s", file, place)
	}
	before, rest, found := strings.Cut(string(text[at:]), "```\n")
	_, after, ended := strings.Cut(rest, "```\n")
	if !found || !ended {
		t.Fatalf("%s has no place for the table", file)
	}
	want := string(text[:at]) + before + "```\n" + table + "\n```\n" + after
	if want == string(text) {
		return
	}
	if *updateMatrix {
		err = os.WriteFile(file, []byte(want), 0o644)
	} else {
		t.Errorf("%s differs from what the server does; read the change that `go test ./internal/server -run OtherCredentials -update-table` makes", file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

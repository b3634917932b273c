package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/hosted"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// junk is what a client sends that has nothing to say.
var junk = []struct{ contentType, body string }{
	{"", ""},
	{"application/json", `{`},
	{"application/json", `{"junk": true}`},
	{"application/json", `{"email": "x", "password": "y", "refresh_token": "` + strings.Repeat("A", 43) + `", "token": "z", "name": "", "id": 7}`},
	{"application/json", "\"" + strings.Repeat("\xff", 300) + "\""},
	{"application/x-www-form-urlencoded", "%zz"},
	{"application/x-www-form-urlencoded", "a=b&a=c&request=x&email=x&password=y&user_code=AAAA-AAAA&action=allow"},
	{"application/x-www-form-urlencoded", "client_id=CLIENT&grant_type=authorization_code&response_type=code&scope=openid&redirect_uri=https%3A%2F%2Fevil.example&code=" + strings.Repeat("A", 43) + "&code_verifier=" + strings.Repeat("A", 43)},
	{"application/x-www-form-urlencoded", "client_id=CLIENT&grant_type=refresh_token&refresh_token=" + strings.Repeat("A", 43) + "&token=" + strings.Repeat("A", 43)},
	{"application/x-www-form-urlencoded", "client_id=CLIENT&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=" + strings.Repeat("A", 43)},
	{"application/x-www-form-urlencoded", "client_id=CLIENT&client_secret=x&grant_type=client_credentials"},
	{"application/octet-stream", strings.Repeat("\x00\xff", 2000)},
}

// ends are the routes for which an empty body is a request of a user who is signed in, which
// ends the session: they are sent without a user.
var ends = []string{"/api/v1/auth/logout", "/api/v1/auth/logout-all", "/account/sessions", "/account/sign-out"}

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// Whatever is sent to the routes that write, without or with a user, stores nothing but
// refusals of the user, which are counted, and the failed login of the user's address.
func TestJunkForEveryRouteStoresNothing(t *testing.T) {
	for engine, database := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return storetest.SQLite(t) },
		"postgres": func(t *testing.T) string { return storetest.EmptyPostgres(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			address := database(t)
			s := start(t, t.TempDir(), func(c *config.Config) { c.Database.URL, c.Auth.BcryptCost = config.Secret(address), 4 })
			admin, _ := s.login("admin@pico.local", "admin")
			status, client := s.call("POST", "/api/v1/clients", admin, map[string]any{"kind": "spa", "redirect_uris": []string{"https://app.example.com/cb"}})
			if status != http.StatusCreated {
				t.Fatalf("register a client: %d %v", status, client)
			}
			s.must("POST", "/api/v1/auth/users", admin, map[string]any{"email": "ada@pico.example", "password": "correct horse battery"})
			access, _ := s.login("ada@pico.example", "correct horse battery")
			j := junkSender{t: t, s: s, clientID: fmt.Sprint(client["client_id"]), access: access}
			j.signIn("ada@pico.example", "correct horse battery")

			before := rowCounts(t, address)
			sent := j.everything() + j.everything()
			after := rowCounts(t, address)
			t.Logf("sent %d, audit events %s and %s, throttle %s", sent, before["audit_events"], after["audit_events"], after["throttle"])
			if added := number(t, after["audit_events"]) - number(t, before["audit_events"]); added > sent/100 {
				t.Errorf("%d requests have written %d audit events", sent, added) // limits begin, and refusals are counted by the minute
			}
			for _, bounded := range []string{"audit_events", "throttle", "settings", "leases"} { // settings: the key of digests
				delete(before, bounded)
				delete(after, bounded)
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("%d requests have stored (-before +after):\n%s", sent, diff)
			}
		})
	}
}

// rowCounts is how many rows each table has.
func rowCounts(t *testing.T, database string) map[string]string {
	t.Helper()
	counts := map[string]string{}
	for _, table := range store.TableNames() {
		counts[table] = storetest.Rows(t, database, "SELECT COUNT(*) FROM "+table)[0][0]
	}
	return counts
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

type junkSender struct {
	t                *testing.T
	s                *running
	clientID, access string
	browser, none    http.Client // the first one has the cookies of the user
}

func (j *junkSender) signIn(email, password string) {
	j.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		j.t.Fatal(err)
	}
	j.none.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	j.browser = http.Client{Jar: jar, CheckRedirect: j.none.CheckRedirect}
	status := j.send(&j.browser, "POST", "/sign-in", "", "application/x-www-form-urlencoded", url.Values{"email": {email}, "password": {password}}.Encode())
	if status != http.StatusSeeOther {
		j.t.Fatalf("sign-in: %d", status)
	}
}

// routes are those that may write: the described ones, and the forms of the pages.
func (j *junkSender) routes() (all [][2]string) {
	j.t.Helper()
	resp, err := http.Get(j.s.base + "/openapi.json")
	if err != nil {
		j.t.Fatal(err)
	}
	defer resp.Body.Close()
	var described struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&described); err != nil {
		j.t.Fatal(err)
	}
	for _, path := range slices.Sorted(maps.Keys(described.Paths)) {
		for method := range described.Paths[path] {
			if method != "get" && method != "parameters" || path == "/oauth2/authorize" {
				all = append(all, [2]string{strings.ToUpper(method), path})
			}
		}
	}
	for _, route := range hosted.New(hosted.Config{Issuer: "http://localhost:8100"}).Group().Routes {
		if route.Method == http.MethodPost {
			all = append(all, [2]string{route.Method, route.Pattern})
		}
	}
	if len(all) < 50 {
		j.t.Fatalf("only %d routes", len(all))
	}
	return all
}

// everything sends all junk to all routes, without and with a user.
func (j *junkSender) everything() (sent int) {
	for _, route := range j.routes() {
		method, path := route[0], wildcard.ReplaceAllString(route[1], "x")
		for _, b := range junk {
			body := strings.ReplaceAll(b.body, "CLIENT", j.clientID)
			if path == "/oauth2/device" {
				body = b.body // a device of a client may ask, up to a limit
			}
			if method == http.MethodGet {
				path, body = route[1]+"?"+body, ""
			}
			j.send(&j.none, method, path, "", b.contentType, body)
			sent++
			if !slices.Contains(ends, route[1]) && (method != http.MethodDelete || b.body != "") {
				j.send(&j.none, method, path, j.access, b.contentType, body)
				j.send(&j.browser, method, path, "", b.contentType, body)
				sent += 2
			}
		}
	}
	return sent
}

func (j *junkSender) send(by *http.Client, method, path, bearer, contentType, body string) (status int) {
	j.t.Helper()
	req, err := http.NewRequestWithContext(j.t.Context(), method, j.s.base+path, strings.NewReader(body))
	if err != nil {
		return 0 // a query that no client can send
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := by.Do(req)
	if err != nil {
		j.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode >= http.StatusInternalServerError {
		j.t.Errorf("%s %s with %q: %d", method, path, body, resp.StatusCode)
	}
	return resp.StatusCode
}

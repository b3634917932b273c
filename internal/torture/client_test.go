//go:build linux

package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/localkeys"
	"github.com/pico-auth/pico-auth/picoauth"
)

// callTimeout is longer than any response may take, on a slow machine as well.
const callTimeout = 40 * time.Second

// client sends requests to the program. It is safe for concurrent use.
type client struct {
	t    *testing.T
	base string
	http *http.Client
}

func newClient(t *testing.T, base string) *client {
	return &client{t: t, base: base, http: &http.Client{
		Timeout: callTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
}

func (c *client) hangUp() { c.http.CloseIdleConnections() }

// response is the response to a request. The zero value means that there was none: it
// is unknown whether the request was executed.
type response struct {
	status int
	header http.Header
	body   []byte
}

// field returns a text field of the response.
func (a response) field(name string) string {
	var all map[string]any
	_ = json.Unmarshal(a.body, &all) // a body without JSON has no fields
	text, _ := all[name].(string)
	return text
}

func (a response) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// call sends body as JSON.
func (c *client) call(method, path, bearer string, body any) response {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			panic(err) // strings only
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, c.base+path, reader)
	if err != nil {
		panic(err) // the addresses are valid
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return response{}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return response{}
	}
	return response{status: resp.StatusCode, header: resp.Header, body: text}
}

func (c *client) status(path string) int { return c.call(http.MethodGet, path, "", nil).status }

func (c *client) text(path string) string {
	c.t.Helper()
	return string(c.must(c.call(http.MethodGet, path, "", nil)).body)
}

// must requires success.
func (c *client) must(a response) response {
	c.t.Helper()
	if a.status != http.StatusOK {
		c.t.Fatalf("response: %v", a)
	}
	return a
}

func (c *client) login(email string) response {
	return c.call(http.MethodPost, "/api/v1/auth/login", "", map[string]string{"email": email, "password": password})
}

func (c *client) register(email string) response {
	return c.call(http.MethodPost, "/api/v1/auth/register", "", map[string]string{"email": email, "password": password})
}

func (c *client) refresh(token string) response {
	return c.call(http.MethodPost, "/api/v1/auth/refresh", "", map[string]string{"refresh_token": token})
}

func (c *client) me(access string) response {
	return c.call(http.MethodGet, "/api/v1/auth/me", access, nil)
}

func (c *client) setRole(admin, id, role string) response {
	return c.call(http.MethodPut, "/api/v1/auth/users/"+id+"/role", admin, map[string]string{"role": role})
}

// session signs in and returns both tokens.
func (c *client) session(email string) (access, refresh string) {
	c.t.Helper()
	a := c.must(c.login(email))
	return a.field("access_token"), a.field("refresh_token")
}

// unavailable checks that the response is the one for an unavailable database.
func (c *client) unavailable(what string, a response) {
	c.t.Helper()
	retry, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != http.StatusServiceUnavailable || err != nil || retry < 1 || a.field("error") != "unavailable" ||
		!strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") {
		c.t.Errorf("%s: %v (Retry-After %q), want 503 problem+json with Retry-After", what, a, a.header.Get("Retry-After"))
	}
}

// okOrDamaged checks that the response is 200 or the one for a damaged database, which
// does not ask for another try.
func (c *client) okOrDamaged(what string, a response) {
	c.t.Helper()
	if a.status == http.StatusOK {
		return
	}
	if a.status != http.StatusInternalServerError || a.header.Get("Retry-After") != "" || a.field("error") != "database_damaged" {
		c.t.Errorf("%s: %v (Retry-After %q), want 500 database_damaged without Retry-After", what, a, a.header.Get("Retry-After"))
	}
}

// okOrUnavailable checks that the response is 200 or the one for an unavailable
// database.
func (c *client) okOrUnavailable(what string, a response) {
	c.t.Helper()
	if a.status != http.StatusOK {
		c.unavailable(what, a)
	}
}

// verifies checks that services can still verify the token: the key set is served, without
// the database, and contains the key.
func (c *client) verifies(access string) {
	c.t.Helper()
	keys := c.must(c.call(http.MethodGet, "/api/v1/auth/jwks", "", nil))
	guard, err := picoauth.New(picoauth.Config{
		Issuer: c.base, Audience: "pico-bot", Client: localkeys.Client(func() []byte { return keys.body }, nil),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := guard.Verify(context.Background(), access); err != nil {
		c.t.Errorf("an access token: %v", err)
	}
}

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

// callTimeout is longer than any answer may take, on a slow machine too.
const callTimeout = 40 * time.Second

// client talks to the program. Its calls may be made from any goroutine.
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

// answer is what came back. Its zero value is no answer: nobody knows whether
// the request was carried out.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// member returns a text member of the answer.
func (a answer) member(name string) string {
	var all map[string]any
	_ = json.Unmarshal(a.body, &all) // no JSON has no member
	text, _ := all[name].(string)
	return text
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// call sends body as JSON.
func (c *client) call(method, path, bearer string, body any) answer {
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
		panic(err) // the addresses are ours
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: text}
}

func (c *client) status(path string) int { return c.call(http.MethodGet, path, "", nil).status }

func (c *client) text(path string) string {
	c.t.Helper()
	return string(c.must(c.call(http.MethodGet, path, "", nil)).body)
}

// must is for what has to succeed.
func (c *client) must(a answer) answer {
	c.t.Helper()
	if a.status != http.StatusOK {
		c.t.Fatalf("answer: %v", a)
	}
	return a
}

func (c *client) login(email string) answer {
	return c.call(http.MethodPost, "/api/v1/auth/login", "", map[string]string{"email": email, "password": password})
}

func (c *client) register(email string) answer {
	return c.call(http.MethodPost, "/api/v1/auth/register", "", map[string]string{"email": email, "password": password})
}

func (c *client) refresh(token string) answer {
	return c.call(http.MethodPost, "/api/v1/auth/refresh", "", map[string]string{"refresh_token": token})
}

func (c *client) me(access string) answer {
	return c.call(http.MethodGet, "/api/v1/auth/me", access, nil)
}

func (c *client) setRole(admin, id, role string) answer {
	return c.call(http.MethodPut, "/api/v1/auth/users/"+id+"/role", admin, map[string]string{"role": role})
}

// session signs in and returns both tokens.
func (c *client) session(email string) (access, refresh string) {
	c.t.Helper()
	a := c.must(c.login(email))
	return a.member("access_token"), a.member("refresh_token")
}

// unavailable checks that the answer is the one for a database that is away.
func (c *client) unavailable(what string, a answer) {
	c.t.Helper()
	retry, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != http.StatusServiceUnavailable || err != nil || retry < 1 || a.member("error") != "unavailable" ||
		!strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") {
		c.t.Errorf("%s: %v (Retry-After %q), want 503 problem+json with Retry-After", what, a, a.header.Get("Retry-After"))
	}
}

// answersOrIsUnavailable checks that the answer is 200 or the one for a
// database that is away: the truth or nothing.
func (c *client) answersOrIsUnavailable(what string, a answer) {
	c.t.Helper()
	if a.status != http.StatusOK {
		c.unavailable(what, a)
	}
}

// verifies checks that services can still verify the token: that the key set is
// served, at once, and fits.
func (c *client) verifies(access string) {
	c.t.Helper()
	start := time.Now()
	keys := c.must(c.call(http.MethodGet, "/api/v1/auth/jwks", "", nil))
	if took := time.Since(start); took > 5*time.Second {
		c.t.Errorf("the key set took %v", took)
	}
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

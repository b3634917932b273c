package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// authorizationOf registers a client and returns the address of its authorization
// requests.
func (s *running) authorizationOf() string {
	s.t.Helper()
	tokens := s.must("POST", "/api/v1/auth/login", "", map[string]string{"email": "admin@pico.local", "password": "admin"})
	access, _ := tokens["access_token"].(string)
	status, client := s.call("POST", "/api/v1/clients", access, map[string]any{"kind": "web", "redirect_uris": []string{"https://app.example.com/cb"}})
	id, _ := client["client_id"].(string)
	if status != http.StatusCreated || id == "" {
		s.t.Fatalf("register a client: %d %v", status, client)
	}
	return s.base + "/oauth2/authorize?" + url.Values{
		"client_id": {id}, "redirect_uri": {"https://app.example.com/cb"}, "response_type": {"code"}, "scope": {"openid"}, "state": {strings.Repeat("s", 4000)},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}.Encode()
}

// visitor requests addresses from an address of this machine, as a browser without cookies.
func visitor(t *testing.T, from string) func(address string) (status int, header http.Header) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{
		Transport: transport, Timeout: server.Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(address string) (int, http.Header) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
		if err != nil {
			t.Error(err)
			return 0, nil
		}
		req.Header.Set("Accept", "text/html")
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return 0, nil
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, resp.Header
	}
}

// openRequests is how many authorization requests the database has.
func openRequests(t *testing.T, dir string) string {
	t.Helper()
	return storetest.Rows(t, string(testConfig(dir).Database.URL), "SELECT COUNT(*) FROM authorization_requests")[0][0]
}

// 600 a minute, of which 500 stay; bench measures what others notice.
func TestFloodOfAuthorizationRequestsIsBoundedAndOthersAreServed(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, func(c *config.Config) { c.Auth.RotationsPerFamily = 0 }) // refreshes for as long as the flood takes
	address := s.authorizationOf()
	tokens := s.must("POST", "/api/v1/auth/login", "", map[string]string{"email": "admin@pico.local", "password": "admin"})
	begin := time.Now()
	var stored, refused atomic.Int64
	var flood sync.WaitGroup
	defer flood.Wait() // also when a refresh fails
	for range 16 {
		visit := visitor(t, "127.0.1.1")
		flood.Go(func() {
			for range 50 {
				switch status, header := visit(address); {
				case status == http.StatusSeeOther:
					stored.Add(1)
				case status == http.StatusTooManyRequests && header.Get("Retry-After") != "" && strings.HasPrefix(header.Get("Content-Type"), "text/html"):
					refused.Add(1)
				default:
					t.Errorf("status %d, %v", status, header)
				}
			}
		})
	}
	refreshed := 0 // during the flood
	for stored.Load()+refused.Load() < 800 && !t.Failed() {
		tokens = s.must("POST", "/api/v1/auth/refresh", "", map[string]any{"refresh_token": tokens["refresh_token"]})
		refreshed++
	}
	flood.Wait()
	allowed := 600 + int64(10*time.Since(begin).Seconds()) + 1
	t.Logf("%d stored, %d refused, %d refreshes", stored.Load(), refused.Load(), refreshed)
	if stored.Load() < 600 || stored.Load() > allowed {
		t.Errorf("%d requests are stored, want 600 to %d", stored.Load(), allowed)
	}
	if got := openRequests(t, dir); got != "500" {
		t.Errorf("%s requests of one network stay, want 500", got)
	}
	if refreshed < 5 { // each of the 16 visitors has had 50 turns
		t.Errorf("%d refreshes are served during the flood", refreshed)
	}
}

// Of all networks together as many as the setting says.
func TestFloodOfAuthorizationRequestsFromManyNetworksIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, func(c *config.Config) { c.Auth.AuthorizationRequests = 100 })
	address := s.authorizationOf()
	stored := 0
	for network := range 15 {
		visit := visitor(t, fmt.Sprintf("127.0.%d.1", network+1))
		for range 10 {
			switch status, _ := visit(address); status {
			case http.StatusSeeOther:
				stored++
			case http.StatusTooManyRequests:
			default:
				t.Fatalf("status %d", status)
			}
		}
	}
	if got := openRequests(t, dir); stored != 100 || got != "100" {
		t.Errorf("%d requests are stored, %s stay, want 100", stored, got)
	}
	s.must("POST", "/api/v1/auth/login", "", map[string]string{"email": "admin@pico.local", "password": "admin"})
}

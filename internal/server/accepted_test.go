package server_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// A command with another configuration activates a key whose algorithm this
// server does not accept.
func TestServerThatRefusesItsOwnTokensLogsIt(t *testing.T) {
	t.Parallel()
	const says = `"error":"this server refuses its own tokens: auth_client.accepted_algorithms lacked ES256, which the active key signs with`
	dir := t.TempDir()
	accept := func(c *config.Config) {
		c.AuthClient.AcceptedAlgorithms = []string{"RS256"}
		c.Keys.PublishAhead = time.Second // the server then checks eight times a second
	}
	s := start(t, dir, accept)
	cfg := testConfig(dir)
	accept(&cfg)
	rotate := func(algorithm string) {
		cfg.Auth.Algorithm = algorithm
		keys, err := server.KeysConfig(cfg, storetest.OpenURL(t, string(cfg.Database.URL)), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		desk, err := keyring.NewAdmin(keys)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := desk.Rotate(t.Context(), identity.Actor{Kind: identity.ActorSystem}, "", true); err != nil {
			t.Fatal(err)
		}
	}
	activated := func() (access string) {
		t.Helper()
		server.Eventually(t, "a token is signed with "+cfg.Auth.Algorithm, func() bool {
			access, _ = s.login("admin@pico.local", "admin")
			return algorithmOf(access) == cfg.Auth.Algorithm
		})
		return access
	}
	rotate("RS256")
	time.Sleep(500 * time.Millisecond)
	if strings.Contains(s.log.String(), "refuses its own tokens") {
		t.Errorf("logged for an accepted key: %s", s.log)
	}
	rotate("ES256")
	access := activated()
	if status, _ := s.call("GET", "/api/v1/auth/me", access, nil); status != 401 {
		t.Errorf("status of its own token: %d", status)
	}
	server.Eventually(t, "it is logged", func() bool { return strings.Contains(s.log.String(), says) })
	time.Sleep(500 * time.Millisecond) // further checks do not log it again
	if n := strings.Count(s.log.String(), says); n != 1 {
		t.Errorf("logged %d times, want 1: %s", n, s.log)
	}
}

package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

func secretFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const chosenSecret = "a secret that an operator chose, with umlauts: \u00fc"

func TestClientsAreReadWithTheNamesOfTheAPI(t *testing.T) {
	c := mustLoad(t, `
clients:
  - client_id: wiki
    client_secret: file:`+secretFile(t, chosenSecret+"\n")+`
    kind: web
    name: ${ENV:NAME}
    redirect_uris: [https://wiki.example/callback]
    require_pkce: false
    refresh_reuse_grace_seconds: 5
    claims:
      tier: {value: {level: 3, ratio: 1.5, none: null}}
      team: {path: admin.team}
  - {client_id: shop, kind: spa, redirect_uris: ["https://shop.example/"]}
`, "NAME=Our Wiki")
	want := []oauth.Settings{
		{
			"client_id": "wiki", "kind": "web", "name": "Our Wiki", "redirect_uris": []any{"https://wiki.example/callback"}, "require_pkce": false,
			"refresh_reuse_grace_seconds": 5,
			"claims": map[string]any{
				"tier": map[string]any{"value": map[string]any{"level": 3, "ratio": 1.5, "none": nil}}, "team": map[string]any{"path": "admin.team"},
			},
		},
		{"client_id": "shop", "kind": "spa", "redirect_uris": []any{"https://shop.example/"}},
	}
	if len(c.Clients) != 2 || string(c.Clients[0].Secret) != chosenSecret || c.Clients[1].Secret != "" {
		t.Fatalf("%d clients", len(c.Clients))
	}
	for i := range want {
		if diff := cmp.Diff(want[i], c.Clients[i].Settings); diff != "" {
			t.Error(diff)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", c.Clients, c.Clients, c.Clients); strings.Contains(text, "operator chose") {
		t.Error("the secret is printed")
	}
	for _, empty := range []string{"clients:", "clients: []"} {
		if c := mustLoad(t, empty); len(c.Clients) != 0 {
			t.Errorf("%q: %v", empty, c.Clients)
		}
	}
}

// One line end at the end of the file is not part of the secret.
func TestOneLineEndAfterAClientSecretIsDropped(t *testing.T) {
	for content, want := range map[string]string{
		chosenSecret: chosenSecret, chosenSecret + "\n": chosenSecret, chosenSecret + "\r\n": chosenSecret, " " + chosenSecret + " \n": " " + chosenSecret + " ",
	} {
		c := mustLoad(t, "clients:\n  - {client_id: wiki, client_secret: 'file:"+secretFile(t, content)+"'}")
		if got := string(c.Clients[0].Secret); got != want {
			t.Errorf("%q is read as %q", content, got)
		}
	}
}

func TestFaultsOfClientsNameTheirLine(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"clients: wiki", "clients (a.yaml:1) must be a list"},
		{"clients: {wiki: {}}", "clients (a.yaml:1) must be a list"},
		{"clients: [wiki]", "must hold settings"},
		{"clients:\n  - client_id: wiki\n    client_id: shop", "clients.client_id (a.yaml:3) is already set in line 2"},
		{"clients:\n  - client_id: wiki\n    client_secret: hunter2hunter2hunter2hunter2hunter2", "clients wiki (a.yaml:3) client_secret must be file:PATH"},
		{"clients:\n  - client_id: wiki\n    client_secret: 'file:'", "client_secret must be file:PATH"},
		{"clients:\n  - client_id: wiki\n    client_secret: file:/does/not/exist", "client_secret cannot be read"},
		{"clients:\n  - client_id: wiki\n    client_secret: file:" + secretFile(t, strings.Repeat("x", 31)), "at least 32 characters"},
		{"clients:\n  - client_id: wiki\n    client_secret: file:" + secretFile(t, chosenSecret+"\n\n"), "must not contain a line feed"},
		{"clients:\n  - client_id: wiki\n    client_secret: file:" + secretFile(t, "\ufeff"+chosenSecret), "must not contain a byte order mark"},
		{"clients:\n  - client_id: wiki\n    name: ${ENV:ABSENT}", "needs the environment variable ABSENT"},
		{"clients:\n  - client_id: wiki\n    name: !!binary aGk=", "YAML tag"},
	} {
		got := strings.Join(sentences(t, c.yaml), "\n")
		if !strings.Contains(got, c.want) {
			t.Errorf("%s\n%s", c.yaml, got)
		}
		if strings.Contains(got, "hunter2") || strings.Contains(got, "xxx") {
			t.Errorf("the fault repeats the secret: %s", got)
		}
	}
}

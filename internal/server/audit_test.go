package server_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/testrig"
)

// What is committed, by whichever part of the server, is in its log.
func TestCommittedActsAreInTheLog(t *testing.T) {
	log := &testrig.Buffer{}
	services, err := server.OpenServices(t.Context(), testConfig(t.TempDir()), slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	system := identity.Actor{Kind: identity.ActorSystem, ID: "ada"}
	if _, err := services.Directory.SetRegistration(t.Context(), system, true); err != nil {
		t.Error(err)
	}
	if err := services.Store.NoteKey(t.Context(), store.Act{Action: identity.ActionKeyExport, By: system}, "k1"); err != nil {
		t.Error(err)
	}
	if err := services.Close(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`"msg":"registration.set","audit":true,"outcome":"success","actor_kind":"system","actor_id":"ada"`,
		`"msg":"key.export","audit":true,"outcome":"success","actor_kind":"system","actor_id":"ada","target_id":"k1"`,
	} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("%d records %s in\n%s", n, want, log.String())
		}
	}
}

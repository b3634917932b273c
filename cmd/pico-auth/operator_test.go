package main

import (
	"os/user"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func TestAuditLogNamesTheAccountOfACommand(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Skipf("the account has no name: %v", err)
	}
	folder := t.TempDir()
	t.Chdir(folder)
	t.Setenv("HOME", folder)
	t.Setenv("AUTH_BCRYPT_COST", "10")
	t.Setenv("SUDO_USER", "ada\xff\x1b[2J") // any bytes are possible
	for _, args := range [][]string{{"user", "create", "bob@example.com"}, {"key", "rotate"}} {
		if code, _, said := typed(t, "a-good-passphrase\n", args...); code != 0 {
			t.Fatal(said)
		}
	}
	s := storetest.OpenURL(t, "sqlite:///"+filepath.Join(folder, "auth.db"))
	events, err := s.Events(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var done []identity.Action
	for _, ev := range events {
		if ev.Action == identity.ActionCreateUser || ev.Action == identity.ActionKeyRotate {
			done = append(done, ev.Action)
			if ev.ActorKind != identity.ActorSystem || ev.ActorID != me.Username || ev.OnBehalfOf != "ada\uFFFD\uFFFD[2J" {
				t.Errorf("%+v", ev)
			}
		}
	}
	slices.Sort(done)
	if !slices.Equal(done, []identity.Action{identity.ActionKeyRotate, identity.ActionCreateUser}) {
		t.Errorf("recorded: %v", done)
	}
}

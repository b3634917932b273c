package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// typed runs one command line with input on standard input and returns what it
// printed.
func typed(t *testing.T, input string, args ...string) (code int, out, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(args, &shell{in: strings.NewReader(input), out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestCopyToPostgresKeepsUsers(t *testing.T) {
	dest := storetest.EmptyPostgres(t)
	t.Chdir(t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AUTH_BCRYPT_COST", "10")
	if code, _, said := typed(t, "a-good-passphrase\n", "user", "create", "alice@example.com"); code != 0 {
		t.Fatal(said)
	}
	for _, repeated := range []string{"first", "again"} {
		code, out, said := typed(t, dest+"\n", "copy", "--to", "-")
		if code != 0 || !strings.Contains(out, "users") {
			t.Fatalf("%s: exit %d, %s%s", repeated, code, out, said)
		}
		if strings.Contains(said, "a server runs") {
			t.Errorf("no server runs: %s", said)
		}
		if repeated == "first" && !strings.Contains(said, "users: 1 row\n") {
			t.Errorf("no progress: %s", said)
		}
		if !strings.Contains(out, "next: set database.url (DATABASE_URL)") || !strings.Contains(out, "; /") || !strings.Contains(out, "/auth.db was only read") || !strings.HasSuffix(out, ", which every server on the copy needs\n") {
			t.Errorf("no next step: %s", out)
		}
	}
	t.Setenv("DATABASE_URL", dest)
	for _, args := range [][]string{{"migrate", "--check"}, {"migrate"}} {
		code, out, said := typed(t, "", args...)
		if name, _, _ := strings.Cut(dest, "?"); code != 0 || !strings.Contains(out, name) {
			t.Errorf("%v: the output does not say which database: exit %d, %s%s", args, code, out, said)
		}
	}
	code, out, said := typed(t, "", "user", "list")
	if code != 0 || !strings.Contains(out, "alice@example.com") {
		t.Errorf("exit %d, %s%s", code, out, said)
	}
}

func TestCopyWarnsOfARunningServer(t *testing.T) {
	dest := storetest.EmptyPostgres(t)
	t.Chdir(t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AUTH_BCRYPT_COST", "10")
	if code, _, said := typed(t, "a-good-passphrase\n", "user", "create", "alice@example.com"); code != 0 {
		t.Fatal(said)
	}
	s := storetest.OpenURL(t, "sqlite:///auth.db")
	if held, err := s.TakeLease(t.Context(), store.ChainLease, "a server", time.Minute); !held || err != nil {
		t.Fatal(held, err)
	}
	code, _, said := typed(t, dest+"\n", "copy", "--to", "-")
	if code != 0 || !strings.HasPrefix(said, "warning: a server runs on /") {
		t.Errorf("exit %d, %s", code, said)
	}
}

//go:build unix

package server_test

import (
	"errors"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// TestAStartThatTakesLongIsLiveAndNotReady runs the program: a supervisor must not end it,
// and a load balancer must not send requests to it.
func TestAStartThatTakesLongIsLiveAndNotReady(t *testing.T) {
	t.Parallel()
	path := program(t)
	t.Run("another process migrates SQLite", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "auth.db")
		migrating := flock.New(file + ".lock")
		if err := migrating.Lock(); err != nil {
			t.Fatal(err)
		}
		defer migrating.Close() //nolint:errcheck // the test has ended
		r := newReplica(t, path, "sqlite:///"+file)
		r.starts("waiting for the migration of the database by another process")
		if err := migrating.Unlock(); err != nil {
			t.Fatal(err)
		}
		r.ready()
		r.stop()
	})
	t.Run("another replica migrates PostgreSQL", func(t *testing.T) {
		t.Parallel()
		database := storetest.EmptyPostgres(t)
		release := storetest.Hold(t, database, "BEGIN; SELECT pg_advisory_xact_lock(8100114734830154856)")
		r := newReplica(t, path, database)
		r.starts("waiting for the migration of the database by another process")
		release()
		r.ready()
		r.stop()
	})
	t.Run("the database is not up yet", func(t *testing.T) {
		t.Parallel()
		outage := storetest.NewOutage(t)
		outage.Stop()
		folder := url.QueryEscape(filepath.Dir(outage.Socket()))
		r := newReplica(t, path, "postgresql://postgres@"+folder+"/postgres")
		r.exits(1, "does not answer", "user", "list")
		r.starts("waiting for the database", "does not answer")
		outage.Start()
		r.ready()
		r.stop()
	})
	bare := storetest.NewOutage(t).URL()
	t.Run("the role does not exist yet", func(t *testing.T) {
		t.Parallel()
		r := newReplica(t, path, strings.Replace(bare, "user=postgres", "user=auth", 1))
		r.exits(1, "refused the user or the password", "user", "list")
		r.exits(1, "refused the user or the password", "migrate", "--check")
		r.starts("waiting for the database", "refused the user or the password")
		storetest.Exec(t, bare, "CREATE ROLE auth LOGIN SUPERUSER")
		r.ready()
		r.stop()
	})
	t.Run("the database does not exist yet", func(t *testing.T) {
		t.Parallel()
		missing := strings.Replace(bare, "/postgres?", "/auth?", 1)
		r := newReplica(t, path, missing)
		r.exits(1, "has no database of the name", "user", "list")
		without := newReplica(t, path, missing, "DATABASE_WAIT=0")
		without.exits(1, "has no database of the name", "serve")
		r.starts("waiting for the database", "has no database of the name")
		storetest.Exec(t, bare, "CREATE DATABASE auth")
		r.ready()
		r.stop()
	})
	t.Run("a signal ends the wait", func(t *testing.T) {
		t.Parallel()
		r := newReplica(t, path, "postgresql://postgres@"+url.QueryEscape(t.TempDir())+"/postgres", "DATABASE_WAIT=1h")
		r.starts("waiting for the database", "does not answer")
		r.stop()
	})
}

// starts runs the process, whose log must have all texts while it is not ready.
func (r *replica) starts(texts ...string) {
	r.t.Helper()
	r.start()
	r.answersWhileItStarts()
	for _, text := range texts {
		r.logs(text)
	}
}

// exits runs a command, which must not wait and must exit with the code and one sentence.
func (r *replica) exits(code int, sentence string, args ...string) {
	r.t.Helper()
	cmd := exec.Command(r.path, args...)
	cmd.Env, cmd.Dir = r.env, strings.TrimPrefix(r.env[0], "HOME=")
	out, err := cmd.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != code || !strings.Contains(string(out), sentence) || strings.Contains(string(out), "waiting") {
		r.t.Errorf("%q: %v, want exit code %d and %q\n%s", args, err, code, sentence, out)
	}
	if strings.Count(string(out), "\n") != 1 {
		r.t.Errorf("%q: more than a line:\n%s", args, out)
	}
}

func (r *replica) logs(text string) {
	r.t.Helper()
	for begin := time.Now(); !strings.Contains(r.log.String(), text); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > server.Patience {
			r.t.Fatalf("the log does not say %q:\n%s", text, r.log)
		}
	}
}

// answersWhileItStarts requires the responses of a server that is starting.
func (r *replica) answersWhileItStarts() {
	r.t.Helper()
	client := &http.Client{Timeout: server.Patience}
	var live *http.Response
	for begin := time.Now(); live == nil && time.Since(begin) < server.Patience; time.Sleep(20 * time.Millisecond) {
		if got, err := client.Get(r.base + "/livez"); err == nil {
			got.Body.Close()
			live = got
		}
	}
	if live == nil || live.StatusCode != http.StatusOK {
		r.t.Fatalf("/livez: %+v\n%s", live, r.log)
	}
	for path, media := range map[string]string{
		"/readyz": "text/plain; charset=utf-8", "/api/v1/auth/jwks": "application/problem+json", "/": "application/problem+json", "/metrics": "application/problem+json",
	} {
		resp, err := client.Get(r.base + path)
		if err != nil {
			r.t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != media {
			r.t.Errorf("%s: %d %v, want 503", path, resp.StatusCode, resp.Header)
		}
	}
}

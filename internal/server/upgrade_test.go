package server_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// previousProgram names the program of the release before, or of the commit that stands
// for it: tools/previous.sh builds it.
const previousProgram = "TEST_PREVIOUS"

// previous returns that program. Without it the test is skipped, and fails in CI.
func previous(t *testing.T) string {
	t.Helper()
	path := os.Getenv(previousProgram)
	switch {
	case path != "":
		return path
	case os.Getenv("REQUIRE_PREVIOUS") == "1":
		t.Fatalf("%s is not set: tools/previous.sh builds that program", previousProgram)
	default:
		t.Skipf("SKIPPED, NOTHING WAS UPGRADED: %s is not set, see tools/previous.sh", previousProgram)
	}
	return ""
}

// held is what users of the previous release hold when its server stops.
type held struct {
	access, refresh    string // of a session that works
	used, successor    string // refresh tokens: the first was used
	ended              string // an access token after the logout
	service, superuser string
}

const heldPassword = "correct-horse-7"

// hold makes sessions and a service token.
func hold(f *fleet) (h held) {
	f.t.Helper()
	for _, name := range []string{"ada", "ben", "cy", "dee"} {
		f.want(200, "POST", auth+"/register", "", body{"email": name + "@example.org", "password": heldPassword})
	}
	h.access, h.refresh = f.login("ada@example.org", heldPassword)
	_, h.used = f.login("ben@example.org", heldPassword)
	h.successor = f.want(200, "POST", auth+"/refresh", "", body{"refresh_token": h.used}).text("refresh_token")
	h.ended, _ = f.login("cy@example.org", heldPassword)
	f.want(200, "POST", auth+"/logout", h.ended, nil)
	h.superuser, _ = f.login(rootEmail, rootPassword)
	h.service = f.want(200, "POST", auth+"/service-tokens", h.superuser, body{"name": "ci", "role": "viewer"}).text("token")
	return h
}

// keeps requires of the new release what the previous one promised.
func (h held) keeps(f *fleet) {
	f.t.Helper()
	f.everywhere(200, "GET", auth+"/me", h.access, nil)
	renewed := f.want(200, "POST", auth+"/refresh", "", body{"refresh_token": h.refresh})
	f.everywhere(200, "GET", auth+"/me", renewed.text("access_token"), nil)
	f.everywhere(401, "GET", auth+"/me", h.ended, nil)
	f.want(401, "POST", auth+"/refresh", "", body{"refresh_token": h.used})
	f.want(401, "POST", auth+"/refresh", "", body{"refresh_token": h.successor}) // the reuse ended its session
	f.everywhere(200, "POST", auth+"/service-tokens/validate", "", body{"token": h.service})
	f.everywhere(200, "GET", auth+"/users", h.superuser, nil)
	f.login("dee@example.org", heldPassword)
}

// tell runs a command of the program beside the replica's server.
func (r *replica) tell(args ...string) {
	r.t.Helper()
	cmd := exec.Command(r.path, args...)
	cmd.Env, cmd.Dir = r.env, strings.TrimPrefix(r.env[0], "HOME=")
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Errorf("%v: %v\n%s", args, err, out)
	}
}

// Tokens, sessions, passwords and keys of users who are signed in survive the upgrade of
// one server, whose keys are files or sealed, and a backup of the release before leads back.
func TestUpgradeKeepsWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	before, now := previous(t), program(t)
	for name, env := range map[string][]string{
		"key files":   nil,
		"sealed keys": {"AUTH_MASTER_KEY=" + masterKey(1), "KEYS_AT_REST=sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := newFleet(t, before, "sqlite:///"+filepath.Join(dir, "auth.db"), 1, env...)
			h, r := hold(f), f.replicas[0]
			r.tell("backup", filepath.Join(dir, "before.db"))
			r.stop()
			r.path = now
			r.tell("migrate", "--check")
			r.start()
			r.ready()
			h.keeps(f)
			r.tell("migrate", "--check")
			r.stop()

			r.path = before // and back
			r.tell("restore", filepath.Join(dir, "before.db"))
			r.start()
			r.ready()
			h.keeps(f)
			r.stop()
		})
	}
}

// Replicas of the two releases serve one PostgreSQL while they are replaced one by one:
// tokens of each are accepted by the other.
func TestRollingUpgradeKeepsWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	before, now := previous(t), program(t)
	f := newFleet(t, before, storetest.EmptyPostgres(t), 2, "AUTH_MASTER_KEY="+masterKey(1))
	h := hold(f)
	for i, r := range f.replicas {
		r.stop()
		r.path = now
		r.start()
		r.ready()
		r.tell("migrate", "--check")
		for _, from := range f.replicas {
			a, err := f.at(from.base, "POST", auth+"/login", "", body{"email": "dee@example.org", "password": heldPassword})
			if err != nil || a.status != 200 {
				t.Fatalf("login at %s: %d %v %v", from.path, a.status, a.fields, err)
			}
			f.everywhere(200, "GET", auth+"/me", a.text("access_token"), nil)
			f.want(200, "POST", auth+"/refresh", "", body{"refresh_token": a.text("refresh_token")})
		}
		if i == 0 { // at either release
			f.everywhere(200, "GET", auth+"/me", h.access, nil)
			f.everywhere(401, "GET", auth+"/me", h.ended, nil)
		}
	}
	h.keeps(f)
	for _, r := range f.replicas {
		r.stop()
	}
}

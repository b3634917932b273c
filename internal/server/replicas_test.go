package server_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

const (
	auth         = "/api/v1/auth"
	publishAhead = 4 * time.Second // of the keys of replicas
)

type body = map[string]any

func TestReplicas(t *testing.T) {
	t.Parallel()
	path := program(t)
	for name, test := range map[string]func(*testing.T, string){
		"behave as one server":              testOneServer,
		"initialize an empty database once": testEmptyDatabase,
		"share a connection pooler":         testThroughAPooler,
		"refuse to start without the key":   testWithoutTheKey,
		"restart one by one under load":     testRollingRestart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, path)
		})
	}
}

func testOneServer(t *testing.T, path string) {
	database := storetest.EmptyPostgres(t)
	f := newFleet(t, path, database, 3, "AUTH_MASTER_KEY="+masterKey(1), "KEYS_PUBLISH_AHEAD="+publishAhead.String(), "AUTH_SESSIONS_PER_USER=100000")
	walks := []struct {
		name string
		walk func(*fleet)
	}{
		{"accounts", walkAccounts},
		{"users", walkUsers},
		{"groups", walkGroups},
		{"service tokens", walkServiceTokens},
		{"sessions", walkSessions},
		{"registration", walkRegistration},
		{"races", walkRaces},
		{"another algorithm", walkAlgorithm},
		{"a revoked key", walkRevocation},
	}
	for _, w := range walks {
		t.Run(w.name, func(t *testing.T) {
			f.t = t
			w.walk(f)
		})
	}
	t.Run("purge on one replica", func(t *testing.T) {
		s := storetest.OpenURL(t, database)
		if mine, err := s.TakeLease(t.Context(), "purge", "test", time.Millisecond); mine || err != nil {
			t.Errorf("no replica has the lease: %v %v", mine, err)
		}
		for _, r := range f.replicas {
			r.stop()
		}
		if mine, err := s.TakeLease(t.Context(), "purge", "test", time.Millisecond); !mine || err != nil {
			t.Errorf("the lease was not given back: %v %v", mine, err)
		}
	})
}

func walkAccounts(f *fleet) {
	f.want(200, "POST", auth+"/register", "", body{"email": "ada@example.com", "password": "correct horse", "display_name": "Ada"})
	f.everywhere(409, "POST", auth+"/register", "", body{"email": "ADA@example.com", "password": "correct horse"})
	access, refresh := f.login("ada@example.com", "correct horse")
	f.everywhere(200, "GET", auth+"/me", access, nil)
	f.everywhere(200, "GET", "/api/v1/auth/jwks", "", nil)
	f.everywhere(200, "GET", "/.well-known/openid-configuration", "", nil)
	f.everywhere(401, "POST", auth+"/login", "", body{"email": "ada@example.com", "password": "wrong horse"})

	f.want(403, "POST", auth+"/me/password", access, body{"old_password": "wrong", "new_password": "battery staple"})
	f.want(200, "POST", auth+"/me/password", access, body{"old_password": "correct horse", "new_password": "battery staple"})
	f.everywhere(401, "POST", auth+"/refresh", "", body{"refresh_token": refresh})
	f.everywhere(401, "POST", auth+"/login", "", body{"email": "ada@example.com", "password": "correct horse"})

	access, refresh = f.login("ada@example.com", "battery staple")
	f.want(200, "POST", auth+"/logout", access, nil)
	f.everywhere(401, "GET", auth+"/me", access, nil)
	f.everywhere(401, "POST", auth+"/refresh", "", body{"refresh_token": refresh})
}

func walkUsers(f *fleet) {
	root, _ := f.login(rootEmail, rootPassword)
	eve := f.want(200, "POST", auth+"/users", root, body{"email": "eve@example.com", "password": "correct horse", "org_id": "acme", "role": "viewer"}).text("id")
	access, refresh := f.login("eve@example.com", "correct horse")
	f.everywhere(200, "GET", auth+"/users?email=eve@example.com", root, nil)
	f.everywhere(403, "GET", auth+"/users", access, nil)

	f.want(200, "PUT", auth+"/users/"+eve+"/role", root, body{"role": "org_admin"})
	f.everywhere(401, "POST", auth+"/refresh", "", body{"refresh_token": refresh})
	access, _ = f.login("eve@example.com", "correct horse")
	f.everywhere(200, "GET", auth+"/users", access, nil)

	f.want(200, "PUT", auth+"/users/"+eve+"/status", root, body{"status": "suspended"})
	f.everywhere(401, "GET", auth+"/me", access, nil)
	f.everywhere(401, "POST", auth+"/login", "", body{"email": "eve@example.com", "password": "correct horse"})
	f.want(200, "PUT", auth+"/users/"+eve+"/status", root, body{"status": "active"})
	f.want(200, "PUT", auth+"/users/"+eve+"/password", root, body{"new_password": "battery staple"})
	access, _ = f.login("eve@example.com", "battery staple")
	f.want(200, "DELETE", auth+"/users/"+eve, root, nil)
	f.everywhere(401, "GET", auth+"/me", access, nil)
}

func walkGroups(f *fleet) {
	root, _ := f.login(rootEmail, rootPassword)
	mo := f.want(200, "POST", auth+"/register", "", body{"email": "mo@example.com", "password": "correct horse"}).text("id")
	group := f.want(200, "POST", "/api/v1/groups", root, body{"name": "on-call"}).text("id")
	f.everywhere(409, "POST", "/api/v1/groups", root, body{"name": "on-call"})
	f.want(200, "POST", "/api/v1/groups/"+group+"/members", root, body{"user_id": mo})
	f.everywhere(409, "POST", "/api/v1/groups/"+group+"/members", root, body{"user_id": mo})
	f.want(200, "PUT", "/api/v1/groups/"+group, root, body{"name": "pager"})
	access, _ := f.login("mo@example.com", "correct horse")
	f.everywhere(200, "GET", "/api/v1/groups", access, nil)
	if a := f.want(200, "GET", "/api/v1/groups/"+group, access, nil); a.text("name") != "pager" || len(a.fields["members"].([]any)) != 1 {
		f.t.Errorf("%v", a.fields)
	}
	f.want(200, "DELETE", "/api/v1/groups/"+group+"/members/"+mo, root, nil)
	f.want(200, "DELETE", "/api/v1/groups/"+group, root, nil)
	f.everywhere(404, "GET", "/api/v1/groups/"+group, root, nil)
}

func walkServiceTokens(f *fleet) {
	root, _ := f.login(rootEmail, rootPassword)
	secret := f.want(200, "POST", auth+"/service-tokens", root, body{"name": "billing"}).text("token")
	f.everywhere(200, "POST", auth+"/service-tokens", root, body{"name": "billing"})
	f.everywhere(200, "GET", auth+"/service-tokens", root, nil)
	f.everywhere(200, "POST", auth+"/service-tokens/validate", "", body{"token": secret})
	f.everywhere(200, "GET", auth+"/revoked-jtis", secret, nil)
	f.want(200, "DELETE", auth+"/service-tokens/billing", root, nil)
	f.everywhere(401, "GET", auth+"/revoked-jtis", secret, nil)
}

// walkSessions refreshes a session at alternating replicas, then reuses a used
// token: the session ends at all replicas, and each of them lists its access
// tokens as revoked soon.
func walkSessions(f *fleet) {
	f.want(200, "POST", auth+"/register", "", body{"email": "kim@example.com", "password": "correct horse"})
	access, refresh := f.login("kim@example.com", "correct horse")
	tokens := []string{refresh}
	for range 9 {
		a := f.want(200, "POST", auth+"/refresh", "", body{"refresh_token": tokens[len(tokens)-1]})
		access = a.text("access_token")
		f.everywhere(200, "GET", auth+"/me", access, nil)
		tokens = append(tokens, a.text("refresh_token"))
	}
	f.want(401, "POST", auth+"/refresh", "", body{"refresh_token": tokens[4]})
	f.everywhere(401, "POST", auth+"/refresh", "", body{"refresh_token": tokens[9]})
	f.everywhere(401, "GET", auth+"/me", access, nil)
	root, _ := f.login(rootEmail, rootPassword)
	for _, r := range f.replicas {
		server.Eventually(f.t, "all revoked tokens are listed", func() bool {
			a, err := f.at(r.base, "GET", auth+"/revoked-jtis", root, nil)
			if err != nil {
				f.t.Fatal(err)
			}
			items, _ := a.fields["items"].([]any)
			return len(items) >= 10
		})
	}
}

func walkRegistration(f *fleet) {
	root, _ := f.login(rootEmail, rootPassword)
	f.want(200, "PUT", auth+"/users/registration", root, body{"enabled": false})
	f.everywhere(403, "POST", auth+"/register", "", body{"email": "late@example.com", "password": "correct horse"})
	for _, r := range f.replicas {
		if a, err := f.at(r.base, "GET", auth+"/users/registration", root, nil); err != nil || a.fields["registration_enabled"] != false {
			f.t.Errorf("%v %v", a.fields, err)
		}
	}
	f.want(200, "PUT", auth+"/users/registration", root, body{"enabled": true})
	f.want(200, "POST", auth+"/register", "", body{"email": "late@example.com", "password": "correct horse"})
}

// walkRaces presents one refresh token to all replicas concurrently.
func walkRaces(f *fleet) {
	for range 10 {
		_, refresh := f.login(rootEmail, rootPassword)
		var winners atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				a, again, err := f.call("POST", auth+"/refresh", "", body{"refresh_token": refresh})
				switch {
				case err == nil && a.status == 200 && !again:
					winners.Add(1)
				case err != nil || a.status != 401:
					f.t.Errorf("%d %v %v", a.status, a.fields, err)
				}
			})
		}
		all.Wait()
		if winners.Load() != 1 {
			f.t.Errorf("%d winners", winners.Load())
		}
	}
}

// walkAlgorithm restarts one replica with another algorithm: all replicas publish
// its key soon, sign with it later, and accept tokens of both keys.
func walkAlgorithm(f *fleet) {
	before, _ := f.login(rootEmail, rootPassword)
	begin := time.Now()
	f.replicas[0].stop()
	f.replicas[0].env = append(f.replicas[0].env, "AUTH_ALGORITHM=ML-DSA-65")
	f.replicas[0].start()
	f.replicas[0].ready()
	pending, _ := f.login(rootEmail, rootPassword)
	if len(pending) > 4000 && time.Since(begin) < publishAhead {
		f.t.Error("the new key signs before it is published")
	}
	server.Eventually(f.t, "all publish both keys", func() bool {
		var sets []string
		for _, r := range f.replicas {
			a, err := f.at(r.base, "GET", "/api/v1/auth/jwks", "", nil)
			if err != nil {
				f.t.Fatal(err)
			}
			sets = append(sets, fmt.Sprint(a.fields))
		}
		return sets[0] == sets[1] && sets[1] == sets[2] && strings.Contains(sets[0], "ML-DSA-65") && strings.Contains(sets[0], "RS256")
	})
	for _, r := range f.replicas {
		server.Eventually(f.t, "it signs with the new key", func() bool {
			a, err := f.at(r.base, "POST", auth+"/login", "", body{"email": rootEmail, "password": rootPassword})
			if err != nil || a.status != 200 {
				f.t.Fatalf("%v %v", a, err)
			}
			f.everywhere(200, "GET", auth+"/me", a.text("access_token"), nil)
			return len(a.text("access_token")) > 4000
		})
	}
	f.everywhere(200, "GET", auth+"/me", before, nil)
	f.everywhere(200, "GET", auth+"/me", pending, nil)
}

// walkRevocation revokes the active key by command: its tokens are refused
// soon, and its sessions continue.
func walkRevocation(f *fleet) {
	access, refresh := f.login(rootEmail, rootPassword)
	f.everywhere(200, "GET", auth+"/me", access, nil)
	kid := ""
	for _, entry := range f.want(200, "GET", auth+"/jwks", "", nil).fields["keys"].([]any)[:1] {
		kid = entry.(map[string]any)["kid"].(string)
	}
	r := f.replicas[0]
	cmd := exec.Command(r.path, "key", "revoke", "--yes", "--", kid)
	cmd.Env, cmd.Dir = r.env, strings.TrimPrefix(r.env[0], "HOME=")
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("%v\n%s", err, out)
	}
	for _, r := range f.replicas {
		server.Eventually(f.t, "its tokens are refused", func() bool {
			a, err := f.at(r.base, "GET", auth+"/me", access, nil)
			if err != nil {
				f.t.Fatal(err)
			}
			return a.status == 401
		})
	}
	a := f.want(200, "POST", auth+"/refresh", "", body{"refresh_token": refresh})
	f.everywhere(200, "GET", auth+"/me", a.text("access_token"), nil)
}

func testEmptyDatabase(t *testing.T, path string) {
	for name, env := range map[string][]string{
		"sealed":     {"AUTH_MASTER_KEY=" + masterKey(1)},
		"one folder": {"AUTH_DATA_DIR=" + filepath.Join(t.TempDir(), "keys")},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, path, storetest.EmptyPostgres(t), 5, env...)
			for range f.replicas {
				access, _ := f.login(rootEmail, rootPassword)
				f.everywhere(200, "GET", auth+"/me", access, nil)
			}
			made := 0
			for _, r := range f.replicas {
				r.stop() // writes the buffered log
				made += strings.Count(r.log.String(), `"msg":"user.create_first_admin"`)
			}
			if made != 1 {
				t.Errorf("%d first administrators", made)
			}
		})
	}
}

func testWithoutTheKey(t *testing.T, path string) {
	t.Run("sealed", func(t *testing.T) {
		database := storetest.EmptyPostgres(t)
		first := newReplica(t, path, database, "AUTH_MASTER_KEY="+masterKey(1))
		first.start()
		first.ready()
		first.stop()
		newReplica(t, path, database, "AUTH_MASTER_KEY="+masterKey(2)).refused("auth.master_key is not the master key under which the signing key")
		newReplica(t, path, database).refused("is sealed in the database and auth.master_key is not set; set it (AUTH_MASTER_KEY or AUTH_MASTER_KEY_FILE)")
		newReplica(t, path, database, "AUTH_MASTER_KEY=nonsense").refused("auth.master_key (environment AUTH_MASTER_KEY) must be 32 bytes in base64")
		first.start()
		first.ready()
		first.stop()
	})
	t.Run("folder", func(t *testing.T) {
		database, dir := storetest.EmptyPostgres(t), filepath.Join(t.TempDir(), "keys")
		first := newReplica(t, path, database, "AUTH_DATA_DIR="+dir)
		first.start()
		first.ready()
		first.stop()
		elsewhere := filepath.Join(t.TempDir(), "keys")
		newReplica(t, path, database, "AUTH_DATA_DIR="+elsewhere).refused("the active signing key", "is not in auth.data_dir "+elsewhere, "pico-auth key revoke --lost")
		newReplica(t, path, database, "AUTH_DATA_DIR="+elsewhere, "AUTH_MASTER_KEY="+masterKey(1)).refused("is not in auth.data_dir " + elsewhere)
		moved := newReplica(t, path, database, "AUTH_DATA_DIR="+dir, "AUTH_MASTER_KEY="+masterKey(1))
		moved.start()
		moved.ready()
		moved.stop()
		if !strings.Contains(moved.log.String(), "moved the signing key into the database") {
			t.Errorf("log:\n%s", moved.log)
		}
	})
}

// load records the requests of clients during a rolling restart and their results.
type load struct {
	*fleet
	mu       sync.Mutex
	users    []string // acknowledged registrations
	refusals []string
	rotated  atomic.Int64
	unclear  atomic.Int64 // in flight to a process that stopped: the outcome is unknown
}

func (l *load) refuse(what string, a response, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusals = append(l.refusals, fmt.Sprint(what, ": ", a.status, " ", a.fields, " ", err))
}

// pace is how long a client of a load waits after each response: requests are in flight at any
// time, and the processors are left to other tests.
const pace = 20 * time.Millisecond

// register creates users until stop is closed.
func (l *load) register(stop <-chan struct{}) {
	for i := 0; !closed(stop); i++ {
		email := fmt.Sprintf("rolling-%d@example.com", i)
		a, again, err := l.call("POST", auth+"/register", "", body{"email": email, "password": "correct horse"})
		switch {
		case again && a.status == 409:
			l.unclear.Add(1)
		case err != nil || a.status != 200:
			l.refuse("register", a, err)
			continue
		}
		l.mu.Lock()
		l.users = append(l.users, email)
		l.mu.Unlock()
		time.Sleep(50 * time.Millisecond)
	}
}

// refresh refreshes a session until stop is closed, and returns the newest token.
func (l *load) refresh(stop <-chan struct{}, token string) string {
	for !closed(stop) {
		a, again, err := l.call("POST", auth+"/refresh", "", body{"refresh_token": token})
		switch {
		case again && a.status == 401:
			l.unclear.Add(1)
			return ""
		case err != nil || a.status != 200:
			l.refuse("refresh", a, err)
			return ""
		}
		l.rotated.Add(1)
		token = a.text("refresh_token")
		if me, _, err := l.call("GET", auth+"/me", a.text("access_token"), nil); err != nil || me.status != 200 {
			l.refuse("me", me, err)
		}
		time.Sleep(pace)
	}
	return token
}

// little reports whether the load proves nothing yet: a registration takes a hash, which
// waits on a busy machine.
func (l *load) little() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rotated.Load() < 50 || len(l.users) < 3
}

func closed(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

func testRollingRestart(t *testing.T, path string) {
	l := &load{fleet: newFleet(t, path, storetest.EmptyPostgres(t), 3, "AUTH_MASTER_KEY="+masterKey(1), "THROTTLE_ENABLED=false", "AUTH_ROTATIONS_PER_FAMILY=0")}
	tokens := make([]string, 6)
	for i := range tokens {
		_, tokens[i] = l.login(rootEmail, rootPassword)
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { l.register(stop) })
	for i := range tokens {
		all.Go(func() { tokens[i] = l.refresh(stop, tokens[i]) })
	}
	cut := 0 // replicas that ended with requests in flight, which they wait for only so long
	for _, r := range l.replicas {
		time.Sleep(500 * time.Millisecond)
		begin := time.Now()
		r.stop()
		if strings.Contains(r.log.String(), "requests cancelled after the drain timeout") {
			cut++
			if took := time.Since(begin); took < 5*time.Second {
				t.Errorf("requests in flight are cancelled after %v", took)
			}
		}
		r.start()
		r.ready()
	}
	time.Sleep(500 * time.Millisecond)
	for limit := time.Now().Add(server.Patience); l.little() && time.Now().Before(limit); {
		time.Sleep(100 * time.Millisecond)
	}
	close(stop)
	all.Wait()

	t.Logf("%d rotations, %d registrations, %d retries, %d unclear", l.rotated.Load(), len(l.users), l.retried.Load(), l.unclear.Load())
	if len(l.refusals) > 0 {
		t.Errorf("refused:\n%s", strings.Join(l.refusals, "\n"))
	}
	if l.little() || l.retried.Load() == 0 || cut == 0 && l.unclear.Load() > 2 {
		t.Error("too little load, no restart, or requests without a response")
	}
	for _, token := range slices.DeleteFunc(tokens, func(s string) bool { return s == "" }) {
		l.want(200, "POST", auth+"/refresh", "", body{"refresh_token": token})
	}
	for _, email := range l.users {
		l.login(email, "correct horse")
	}
}

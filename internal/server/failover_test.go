//go:build unix

package server_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// survivors are what a server has acknowledged to its clients during a failover.
type survivors struct {
	*fleet
	stop chan struct{}
	busy sync.WaitGroup

	mu       sync.Mutex
	users    []string // registered
	sessions []string // newest refresh token of each
	lost     []string // what must not happen
	served   map[string]int
	refused  map[string]int // and not done
}

// TestFailover kills the primary under load and promotes its synchronous standby. The
// server goes on by itself, and nothing is lost that a client has got a response to.
func TestFailover(t *testing.T) {
	t.Parallel()
	pair := storetest.NewPair(t)
	s := &survivors{
		fleet: newFleet(t, program(t), pair.URL(), 1, "AUTH_MASTER_KEY="+masterKey(1), "AUTH_REFRESH_REUSE_GRACE_SECONDS=60", "THROTTLE_ENABLED=false", "AUTH_ROTATIONS_PER_FAMILY=0"),
		stop:  make(chan struct{}), served: map[string]int{}, refused: map[string]int{},
	}
	acts := []string{"login", "register", "refresh"}
	s.busy.Go(s.logins)
	s.busy.Go(s.registrations)
	for range 4 {
		s.busy.Go(s.refreshes)
	}
	s.more("served", s.served, acts, 10)
	pair.KillPrimary()
	killed := time.Now()
	s.more("refused", s.refused, acts, 1)
	pair.Promote()
	promoted := time.Now()
	s.more("served", s.served, acts, 1)
	s.replicas[0].ready()
	t.Logf("promoted %v after the end of the primary; everything was served %v later", promoted.Sub(killed).Round(time.Millisecond), time.Since(promoted).Round(time.Millisecond))
	s.more("served", s.served, acts, 10)
	close(s.stop)
	s.busy.Wait()
	t.Logf("served %v, refused %v", s.served, s.refused)

	for _, what := range s.lost {
		t.Error(what)
	}
	for _, email := range s.users {
		s.login(email, "correct horse")
	}
	for _, token := range s.sessions {
		s.want(200, "POST", auth+"/refresh", "", body{"refresh_token": token})
	}
	if len(s.users) < 20 || len(s.sessions) < 24 {
		t.Errorf("too little load: %d users, %d sessions", len(s.users), len(s.sessions))
	}
	s.replicas[0].stop()
}

// more waits until n more of each act were counted.
func (s *survivors) more(what string, counts map[string]int, acts []string, n int) {
	s.t.Helper()
	count := func(act string) int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return counts[act]
	}
	want := map[string]int{}
	for _, act := range acts {
		want[act] = count(act) + n
	}
	for _, act := range acts {
		for deadline := time.Now().Add(server.Patience); count(act) < want[act]; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				s.t.Fatalf("%s: no more %s\n%s", act, what, s.replicas[0].log)
			}
		}
	}
}

// send sends the request and counts its outcome. done is false after a refusal that says
// that a later try may succeed.
func (s *survivors) send(act, path string, body any) (a response, done bool) {
	a, err := s.at(s.replicas[0].base, "POST", path, "", body)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.lost = append(s.lost, fmt.Sprint(act, ": no response: ", err))
	case a.status == http.StatusServiceUnavailable:
		s.refused[act]++
	case a.status == http.StatusOK:
		s.served[act]++
		return a, true
	default:
		return a, true
	}
	return a, false
}

func (s *survivors) logins() {
	for !closed(s.stop) {
		a, done := s.send("login", auth+"/login", body{"email": rootEmail, "password": rootPassword})
		s.mu.Lock()
		switch {
		case done && a.status == http.StatusOK && len(s.sessions) < 40:
			s.sessions = append(s.sessions, a.text("refresh_token"))
		case done && a.status != http.StatusOK:
			s.lost = append(s.lost, fmt.Sprint("login: ", a))
		}
		s.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *survivors) registrations() {
	for i := 0; !closed(s.stop); i++ {
		email := fmt.Sprintf("failover-%d@example.com", i)
		for unclear := false; ; unclear = true {
			a, done := s.send("register", auth+"/register", body{"email": email, "password": "correct horse"})
			if !done {
				time.Sleep(20 * time.Millisecond)
				continue
			}
			s.mu.Lock()
			// 409 after a refusal: the commit had succeeded, and its response was lost.
			if a.status == http.StatusOK || unclear && a.status == http.StatusConflict {
				s.users = append(s.users, email)
			} else {
				s.lost = append(s.lost, fmt.Sprint(email, ": ", a))
			}
			s.mu.Unlock()
			break
		}
	}
}

// refreshes uses the token of a session, and repeats what was refused as clients do.
func (s *survivors) refreshes() {
	a, err := s.at(s.replicas[0].base, "POST", auth+"/login", "", body{"email": rootEmail, "password": rootPassword})
	token := a.text("refresh_token")
	for err == nil && !closed(s.stop) {
		next, done := s.send("refresh", auth+"/refresh", body{"refresh_token": token})
		switch {
		case !done:
			time.Sleep(20 * time.Millisecond)
		case next.status == http.StatusOK:
			token = next.text("refresh_token")
			time.Sleep(20 * time.Millisecond) // leaves the processors to the passwords
		default:
			err = fmt.Errorf("%v", next)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.lost = append(s.lost, fmt.Sprint("refresh: ", err))
		return
	}
	s.sessions = append(s.sessions, token)
}

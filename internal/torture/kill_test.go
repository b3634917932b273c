//go:build linux

package torture

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

const (
	sessions = 4 // sessions under load; a lost one costs a password hash
	managed  = 3 // users whose role changes
)

// TestNothingAcknowledgedIsLostToKill9 kills the program repeatedly under load and
// starts it again on the same files.
func TestNothingAcknowledgedIsLostToKill9(t *testing.T) {
	t.Parallel()
	kills := 20
	if os.Getenv("TEST_FULL") != "" {
		kills = 100
	}
	if text := os.Getenv("TORTURE_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal("TORTURE_KILLS is not a number")
		}
		kills = n
	}
	w := newVictims(newSite(t))
	started := time.Now()
	for killed := 0; killed < kills; killed++ {
		if killed%10 == 9 { // during the start, while it recovers
			p := w.site.launch()
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			p.kill()
			killed++
		}
		p := w.site.start()
		w.allThere(p)
		if killed%4 == 0 {
			w.replay(p, w.sessions[rand.IntN(len(w.sessions))])
			w.site.sound()
		}
		w.signIn(p)
		w.load(p, killed%4 == 1)
		if t.Failed() {
			t.FailNow()
		}
	}
	p := w.site.start()
	w.allThere(p)
	p.stop()
	w.site.sound()
	w.books()
	t.Logf("%d kills in %v: %d rotations, %d registrations, %d role changes were acknowledged; %d rotations were executed without a response, %d requests had no response",
		kills, time.Since(started).Round(time.Second), w.count.rotations, len(w.users), w.count.roles, len(w.unanswered), w.count.lost)
}

// victims records the requests to the program and what it acknowledged.
type victims struct {
	t     *testing.T
	site  *site
	admin string // access token

	sessions []*device
	roles    []*managedUser

	mu         sync.Mutex
	users      []string // acknowledged registrations
	used       []string // tokens whose rotation was acknowledged
	unanswered []string // tokens that were used without a response, as a later request showed
	count      struct{ rotations, roles, lost int }
}

// device is one session of a user.
type device struct {
	email   string
	token   string // the newest acknowledged one; empty: a login is needed
	unknown bool   // it was presented, and there was no response
	trail   []string
}

type managedUser struct {
	email, id string
	role      string // acknowledged
	asked     string // requested without a response; empty: none
}

func newVictims(s *site) *victims {
	w := &victims{t: s.t, site: s}
	p := s.start()
	w.admin, _ = p.session(adminEmail)
	for i := range sessions {
		c := &device{email: fmt.Sprintf("device-%d@example.org", i)}
		p.must(p.register(c.email))
		w.sessions = append(w.sessions, c)
	}
	for i := range managed {
		m := &managedUser{email: fmt.Sprintf("managed-%d@example.org", i), role: "viewer"}
		m.id = p.must(p.register(m.email)).field("id")
		w.roles = append(w.roles, m)
	}
	p.stop()
	return w
}

// load runs all clients, kills the program, and waits until all clients have
// noticed. It kills after a number of acknowledgements, one registration or some
// rotations, so that the moment is as random on a slow machine.
func (w *victims) load(p *process, registration bool) {
	rotations, users := w.progress()
	if registration {
		users++
	} else {
		rotations += 1 + rand.IntN(50)
	}
	var busy sync.WaitGroup
	for _, c := range w.sessions {
		busy.Go(func() {
			for w.advance(p, c) {
			}
		})
	}
	for _, m := range w.roles {
		busy.Go(func() {
			for w.promote(p, m) {
			}
		})
	}
	if registration {
		busy.Go(func() {
			for w.enrol(p) {
			}
		})
	}
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if r, n := w.progress(); r >= rotations && n >= users {
			break
		}
	}
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
	p.kill()
	busy.Wait()
}

// progress counts the acknowledged requests.
func (w *victims) progress() (rotations, users int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count.rotations, len(w.users)
}

// advance refreshes the session once; it returns false if there was no response.
func (w *victims) advance(p *process, c *device) bool {
	old := c.token
	if old == "" {
		return false
	}
	a := p.refresh(old)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case a.status == http.StatusOK:
		c.token, c.unknown = a.field("refresh_token"), false
		c.trail = append(c.trail, old)
		w.used = append(w.used, old)
		w.count.rotations++
		return true
	case a.status == http.StatusUnauthorized && c.unknown: // the previous request was executed
		w.unanswered = append(w.unanswered, old)
		*c = device{email: c.email}
		return false
	case a.status == 0:
		c.unknown = true
		w.count.lost++
		return false
	default:
		w.t.Errorf("the newest token of a session: %v", a)
		return false
	}
}

// promote changes the user's role once.
func (w *victims) promote(p *process, m *managedUser) bool {
	next := map[string]string{"viewer": "operator", "operator": "org_admin", "org_admin": "viewer"}[m.role]
	m.asked = next
	a := p.setRole(w.admin, m.id, next)
	if a.status != http.StatusOK {
		return w.unheard("a change of role", a)
	}
	m.role, m.asked = next, ""
	w.mu.Lock()
	w.count.roles++
	w.mu.Unlock()
	return true
}

// enrol registers another user.
func (w *victims) enrol(p *process) bool {
	email := "p" + strconv.FormatUint(rand.Uint64(), 36) + "@example.org"
	a := p.register(email)
	if a.status != http.StatusOK {
		return w.unheard("a registration", a)
	}
	w.mu.Lock()
	w.users = append(w.users, email)
	w.mu.Unlock()
	return true
}

// unheard counts a request without a response. Any response fails
// the test.
func (w *victims) unheard(what string, a response) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.status != 0 {
		w.t.Errorf("%s: %v", what, a)
	}
	w.count.lost++
	return false
}

// allThere checks through the API what the previous process acknowledged.
func (w *victims) allThere(p *process) {
	w.t.Helper()
	for _, m := range w.roles {
		got := w.find(p, m.email)
		if got != m.role && (m.asked == "" || got != m.asked) {
			w.t.Fatalf("the role of %s is %q; %q was acknowledged, %q requested", m.email, got, m.role, m.asked)
		}
		m.role, m.asked = got, ""
	}
	if n := len(w.users); n > 0 && w.find(p, w.users[n-1]) == "" {
		w.t.Fatalf("%s is missing", w.users[n-1])
	}
	for _, c := range w.sessions {
		w.advance(p, c)
	}
}

// signIn starts a session for each user without one.
func (w *victims) signIn(p *process) {
	w.t.Helper()
	var busy sync.WaitGroup
	for _, c := range w.sessions {
		if c.token == "" {
			busy.Go(func() {
				if a := p.login(c.email); a.status == http.StatusOK {
					*c = device{email: c.email, token: a.field("refresh_token")}
				} else {
					w.t.Errorf("a login: %v", a)
				}
			})
		}
	}
	busy.Wait()
}

// find returns the role of a user, or an empty string.
func (w *victims) find(p *process, email string) string {
	w.t.Helper()
	a := p.must(p.call(http.MethodGet, "/api/v1/auth/users?email="+url.QueryEscape(email), w.admin, nil))
	var list struct {
		Users []struct{ Email, Role string }
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		w.t.Fatal(err)
	}
	for _, u := range list.Users {
		if u.Email == email {
			return u.Role
		}
	}
	return ""
}

// replay presents a used token of the session: it is refused and ends the
// session.
func (w *victims) replay(p *process, c *device) {
	w.t.Helper()
	if len(c.trail) == 0 || c.token == "" {
		return
	}
	if a := p.refresh(c.trail[rand.IntN(len(c.trail))]); a.status != http.StatusUnauthorized {
		w.t.Fatalf("a used token: %v", a)
	}
	if a := p.refresh(c.token); a.status != http.StatusUnauthorized {
		w.t.Fatalf("the session of a reused token: %v", a)
	}
	*c = device{email: c.email}
}

// books compares the tables with everything that was acknowledged. Nothing was
// purged, so a row that any kill has lost is missing.
func (w *victims) books() {
	w.t.Helper()
	there := map[string]bool{}
	for _, row := range storetest.Rows(w.t, w.site.database, "SELECT email FROM users") {
		there[row[0]] = true
	}
	for _, email := range w.users {
		if !there[email] {
			w.t.Errorf("%s is missing", email)
		}
	}
	usedAt := map[string]string{} // by hash of the token
	for _, row := range storetest.Rows(w.t, w.site.database, "SELECT token_hash, COALESCE(used_at, 'never') FROM refresh_tokens") {
		usedAt[row[0]] = row[1]
	}
	for _, token := range append(w.used, w.unanswered...) {
		if at := usedAt[hashOf(token)]; at == "" || at == "never" {
			w.t.Errorf("a used token has used_at %q", at)
		}
	}
	// Each used token has one successor, so each family has exactly one token that was
	// not used.
	wrong := storetest.Rows(w.t, w.site.database, `SELECT family_id, COUNT(*) FROM refresh_tokens
		GROUP BY family_id HAVING SUM(CASE WHEN used_at IS NULL THEN 1 ELSE 0 END) <> 1`)
	if len(wrong) > 0 {
		w.t.Errorf("families in which a token was used more than once, or lost: %v", wrong)
	}
}

// hashOf is the stored form of a refresh token.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

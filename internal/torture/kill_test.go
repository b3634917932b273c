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
	chains  = 4 // refresh chains under load; a lost one costs a password hash
	managed = 3 // people whose role changes
)

// TestNothingAcknowledgedIsLostToKill9 kills the program under load, again and
// again, and starts it on what is left.
func TestNothingAcknowledgedIsLostToKill9(t *testing.T) {
	t.Parallel()
	kills := 40
	if os.Getenv("TEST_FULL") != "" {
		kills = 200
	}
	if text := os.Getenv("TORTURE_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal("TORTURE_KILLS is no number")
		}
		kills = n
	}
	w := newVictims(newSite(t))
	started := time.Now()
	for killed := 0; killed < kills; killed++ {
		if killed%10 == 9 { // while it starts, which is while it recovers
			p := w.site.launch()
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			p.kill()
			killed++
		}
		p := w.site.start()
		w.allThere(p)
		if killed%4 == 0 {
			w.replay(p, w.chains[rand.IntN(len(w.chains))])
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
	t.Logf("%d kills in %v: %d rotations, %d registrations, %d role changes were acknowledged; %d rotations were done without an answer, %d requests had none",
		kills, time.Since(started).Round(time.Second), w.count.rotations, len(w.people), w.count.roles, len(w.unanswered), w.count.lost)
}

// victims is what the program was told, and what it acknowledged.
type victims struct {
	t     *testing.T
	site  *site
	admin string // access token

	chains []*chain
	roles  []*managedPerson

	mu         sync.Mutex
	people     []string // acknowledged registrations
	spent      []string // tokens whose rotation was acknowledged
	unanswered []string // tokens that were spent, as was found later, without an answer
	count      struct{ rotations, roles, lost int }
}

// chain is one session.
type chain struct {
	email   string
	token   string // the newest that was acknowledged; empty: to be signed in
	unknown bool   // it was presented, and no answer came
	trail   []string
}

type managedPerson struct {
	email, id string
	role      string // acknowledged
	asked     string // asked for without an answer; empty: none
}

func newVictims(s *site) *victims {
	w := &victims{t: s.t, site: s}
	p := s.start()
	w.admin, _ = p.session(adminEmail)
	for i := range chains {
		c := &chain{email: fmt.Sprintf("chain-%d@example.org", i)}
		p.must(p.register(c.email))
		w.chains = append(w.chains, c)
	}
	for i := range managed {
		m := &managedPerson{email: fmt.Sprintf("managed-%d@example.org", i), role: "viewer"}
		m.id = p.must(p.register(m.email)).member("id")
		w.roles = append(w.roles, m)
	}
	p.stop()
	return w
}

// load has everybody at work, kills the program in the middle of it, and waits
// until everybody has noticed. Its life is counted in acknowledgements, one
// registration or some rotations, so that it is as random on a slow machine.
func (w *victims) load(p *process, registration bool) {
	rotations, people := w.progress()
	if registration {
		people++
	} else {
		rotations += 1 + rand.IntN(50)
	}
	var busy sync.WaitGroup
	for _, c := range w.chains {
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
	for limit := time.Now().Add(5 * time.Second); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		if r, n := w.progress(); r >= rotations && n >= people {
			break
		}
	}
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
	p.kill()
	busy.Wait()
}

// progress is what was acknowledged so far.
func (w *victims) progress() (rotations, people int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count.rotations, len(w.people)
}

// advance rotates the chain once, false when no answer came.
func (w *victims) advance(p *process, c *chain) bool {
	old := c.token
	if old == "" {
		return false
	}
	a := p.refresh(old)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case a.status == http.StatusOK:
		c.token, c.unknown = a.member("refresh_token"), false
		c.trail = append(c.trail, old)
		w.spent = append(w.spent, old)
		w.count.rotations++
		return true
	case a.status == http.StatusUnauthorized && c.unknown: // it had been done
		w.unanswered = append(w.unanswered, old)
		*c = chain{email: c.email}
		return false
	case a.status == 0:
		c.unknown = true
		w.count.lost++
		return false
	default:
		w.t.Errorf("the newest token of a chain: %v", a)
		return false
	}
}

// promote changes the person's role once.
func (w *victims) promote(p *process, m *managedPerson) bool {
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

// enrol registers one person more.
func (w *victims) enrol(p *process) bool {
	email := "p" + strconv.FormatUint(rand.Uint64(), 36) + "@example.org"
	a := p.register(email)
	if a.status != http.StatusOK {
		return w.unheard("a registration", a)
	}
	w.mu.Lock()
	w.people = append(w.people, email)
	w.mu.Unlock()
	return true
}

// unheard takes note of a request without an answer. Any other answer than
// none is wrong.
func (w *victims) unheard(what string, a answer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.status != 0 {
		w.t.Errorf("%s: %v", what, a)
	}
	w.count.lost++
	return false
}

// allThere looks through the API for what the last life acknowledged.
func (w *victims) allThere(p *process) {
	w.t.Helper()
	for _, m := range w.roles {
		got := w.find(p, m.email)
		if got != m.role && (m.asked == "" || got != m.asked) {
			w.t.Fatalf("the role of %s is %q; %q was acknowledged, %q asked for", m.email, got, m.role, m.asked)
		}
		m.role, m.asked = got, ""
	}
	if n := len(w.people); n > 0 && w.find(p, w.people[n-1]) == "" {
		w.t.Fatalf("%s is gone", w.people[n-1])
	}
	for _, c := range w.chains {
		w.advance(p, c)
	}
}

// signIn starts a chain for each person who has none.
func (w *victims) signIn(p *process) {
	w.t.Helper()
	var busy sync.WaitGroup
	for _, c := range w.chains {
		if c.token == "" {
			busy.Go(func() {
				if a := p.login(c.email); a.status == http.StatusOK {
					*c = chain{email: c.email, token: a.member("refresh_token")}
				} else {
					w.t.Errorf("a login: %v", a)
				}
			})
		}
	}
	busy.Wait()
}

// find returns the role of a person, empty when there is none.
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

// replay presents a spent token of the chain: it yields nothing, and ends the
// chain.
func (w *victims) replay(p *process, c *chain) {
	w.t.Helper()
	if len(c.trail) == 0 || c.token == "" {
		return
	}
	if a := p.refresh(c.trail[rand.IntN(len(c.trail))]); a.status != http.StatusUnauthorized {
		w.t.Fatalf("a spent token: %v", a)
	}
	if a := p.refresh(c.token); a.status != http.StatusUnauthorized {
		w.t.Fatalf("the chain of a token that came back: %v", a)
	}
	*c = chain{email: c.email}
}

// books compares the tables with everything that was ever acknowledged. Nothing
// was purged meanwhile, so what was lost by any kill is missing now.
func (w *victims) books() {
	w.t.Helper()
	there := map[string]bool{}
	for _, row := range storetest.Rows(w.t, w.site.database, "SELECT email FROM users") {
		there[row[0]] = true
	}
	for _, email := range w.people {
		if !there[email] {
			w.t.Errorf("%s is gone", email)
		}
	}
	used := map[string]string{} // when the token of a hash was spent
	for _, row := range storetest.Rows(w.t, w.site.database, "SELECT token_hash, COALESCE(used_at, 'never') FROM refresh_tokens") {
		used[row[0]] = row[1]
	}
	for _, token := range append(w.spent, w.unanswered...) {
		if at := used[hashOf(token)]; at == "" || at == "never" {
			w.t.Errorf("a spent token was spent %q", at)
		}
	}
	// Each token that was spent once has one successor, and so each family has
	// exactly one that was not.
	twice := storetest.Rows(w.t, w.site.database, `SELECT family_id, COUNT(*) FROM refresh_tokens
		GROUP BY family_id HAVING SUM(CASE WHEN used_at IS NULL THEN 1 ELSE 0 END) <> 1`)
	if len(twice) > 0 {
		w.t.Errorf("families in which a token was spent twice, or lost: %v", twice)
	}
}

// hashOf is how the program keeps a refresh token.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

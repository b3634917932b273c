package throttle_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/throttle"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// world is a Throttle over a real database.
type world struct {
	t     *testing.T
	url   string
	clock *storetest.Clock
	log   *testrig.Buffer
	store *store.Store
	*throttle.Throttle
}

// each runs test on each engine.
func each(t *testing.T, test func(w *world)) {
	t.Helper()
	storetest.EachURL(t, func(t *testing.T, url string) { test(newWorld(t, url)) })
}

func sqlite(t *testing.T) string {
	t.Helper()
	return storetest.MigratedSQLite(t)
}

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	// With a random key every fortieth run has a network whose digest is that of another one.
	storetest.Exec(t, url, "INSERT INTO settings (key, value) VALUES ('throttle_secret', '"+strings.Repeat("5c", 32)+"')")
	r := testrig.New(t, url)
	return &world{t: t, url: url, clock: r.Clock, log: r.Log, store: r.Store, Throttle: r.Throttle}
}

// replica is another server on the same database.
func (w *world) replica() *world {
	w.t.Helper()
	other := *w
	other.store = storetest.OpenURL(w.t, w.url, storetest.WithClock(w.clock))
	other.Throttle = throttle.New(throttle.Config{Store: other.store, Now: w.clock.Now})
	return &other
}

// The limits know users by their ids only.
var (
	ada = identity.User{ID: "ada", Email: "ada@pico.example", OrgID: identity.DefaultOrg}
	bob = identity.User{ID: "bob", Email: "bob@pico.example", OrgID: identity.DefaultOrg}
)

// from is an unauthenticated client of the network with that number.
func from(n int) identity.Actor {
	return identity.Actor{Address: fmt.Sprintf("10.%d.%d.7", n/256, n%256), Network: fmt.Sprintf("10.%d.%d.0/24", n/256, n%256)}
}

// fails makes one failed attempt, and returns the refusal if it is not admitted.
func (w *world) fails(by identity.Actor, user identity.User, email string) *fault.Error {
	w.t.Helper()
	a, refused := w.admit(by, user, email)
	if refused == nil {
		w.ok(a.Failed(w.t.Context()))
	}
	return refused
}

// guess is fails, whether it is admitted or not.
func (w *world) guess(by identity.Actor, user identity.User, email string) {
	w.t.Helper()
	_ = w.fails(by, user, email)
}

// succeeds signs the user in.
func (w *world) succeeds(by identity.Actor, user identity.User) {
	w.t.Helper()
	a, refused := w.admit(by, user, user.Email)
	if refused != nil {
		w.t.Fatalf("refused: %+v", refused)
	}
	w.ok(a.Succeeded(w.t.Context()))
}

func (w *world) admit(by identity.Actor, user identity.User, email string) (*throttle.Attempt, *fault.Error) {
	w.t.Helper()
	a, err := w.Admit(w.t.Context(), by, &user, email)
	return a, w.refusal(err)
}

// refusal is err as Throttled, nil for none.
func (w *world) refusal(err error) *fault.Error {
	w.t.Helper()
	var f *fault.Error
	if err != nil && (!errors.As(err, &f) || f.Kind != fault.Throttled || f.RetryAfter < time.Second) {
		w.t.Errorf("no refusal of a limit: %v", err)
	}
	return f
}

// told returns the stored events of the action.
func (w *world) told(action identity.Action) (events []store.Event) {
	w.t.Helper()
	all, err := w.store.Events(w.t.Context(), 0)
	w.ok(err)
	for _, ev := range all {
		if ev.Action == action {
			events = append(events, ev)
		}
	}
	return events
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// waits checks that an attempt is refused now and until the time has passed, and admits
// one then, which fails.
func (w *world) waits(by identity.Actor, user identity.User, want time.Duration) {
	w.t.Helper()
	refused := w.fails(by, user, user.Email)
	if refused == nil || refused.RetryAfter != want {
		w.t.Fatalf("refused %+v, want for %s", refused, want)
	}
	w.clock.Advance(want - time.Millisecond)
	if w.fails(by, user, user.Email) == nil {
		w.t.Fatalf("admitted before %s are over", want)
	}
	w.clock.Advance(time.Millisecond)
	if refused := w.fails(by, user, user.Email); refused != nil {
		w.t.Fatalf("refused after %s: %+v", want, refused)
	}
}

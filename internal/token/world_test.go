package token_test

import (
	"context"
	"slices"
	"testing"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/token"
)

const (
	issuer   = testrig.Issuer
	audience = testrig.Audience
)

var epoch = testrig.Epoch() // start time of each world

func TestMain(m *testing.M) { storetest.Main(m) }

// world is an Issuer over a real database and a real key, with the services that
// start and end sessions.
type world struct {
	*token.Issuer
	*session.Sessions
	config token.Config // of the Issuer
	store  *store.Store
	keys   *keyring.Ring
	audit  *audit.Log
	clock  *storetest.Clock
	log    *testrig.Buffer
}

type option func(*token.Config, *keyring.Config)

// each runs test in a new world on each engine.
func each(t *testing.T, test func(t *testing.T, w *world), opts ...option) {
	t.Helper()
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) { test(t, newWorld(r)) }, rigged(opts)...)
}

// open returns a new world on SQLite.
func open(t testing.TB, opts ...option) *world {
	t.Helper()
	return newWorld(testrig.Open(t, rigged(opts)...))
}

func rigged(opts []option) []testrig.Option {
	all := []testrig.Option{func(c *testrig.Config) { c.Keys.Algorithm = jose.MLDSA65 }} // a large token
	for _, o := range opts {
		all = append(all, func(c *testrig.Config) { o(&c.Tokens, &c.Keys) })
	}
	return all
}

func newWorld(r *testrig.Rig) *world {
	return &world{
		Issuer: r.Tokens, Sessions: r.Sessions, store: r.Store, keys: r.Keys, audit: r.Audit, clock: r.Clock, log: r.Log,
		config: token.Config{Store: r.Store, Keys: r.Keys, Audit: r.Audit, Issuer: issuer, Audience: audience, Now: r.Clock.Now},
	}
}

var (
	system = identity.Actor{Kind: identity.ActorSystem}
	web    = identity.Actor{Address: "192.0.2.7", RequestID: "req-1"}
)

// user creates an active user and returns them as a login would.
func (w *world) user(t testing.TB, email string, role identity.Role, orgID string) identity.User {
	t.Helper()
	u := identity.User{
		ID: "id-" + email, Email: email, EmailKey: identity.EmailKey(email),
		PasswordHash: identity.PasswordHash("hash of " + email), Role: role, OrgID: orgID,
		Status: identity.Active, CreatedAt: w.clock.Now(),
	}
	w.must(t, w.store.CreateUser(t.Context(), w.act(), u))
	u, err := w.store.UserByID(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (w *world) viewer(t testing.TB) identity.User {
	t.Helper()
	return w.user(t, "Ada@pico.example", identity.Viewer, identity.DefaultOrg)
}

func (w *world) act() store.Act { return store.Act{Action: "test", By: system} }

// Issue starts a session of the user with the credentials that u was read with.
func (w *world) Issue(ctx context.Context, by identity.Actor, u identity.User) (token.Pair, error) {
	return w.Start(ctx, by, identity.NewProof(u, w.clock.Now(), identity.MethodPassword))
}

func (w *world) issue(t testing.TB, u identity.User) token.Pair {
	t.Helper()
	p, err := w.Issue(t.Context(), web, u)
	if err != nil {
		t.Fatalf("Issue: %v", err)
	}
	return p
}

func (w *world) rotate(t testing.TB, refresh string) token.Pair {
	t.Helper()
	p, err := w.Rotate(t.Context(), web, refresh)
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	return p
}

// refuses checks that a refresh token is refused.
func (w *world) refuses(t testing.TB, refresh string) {
	t.Helper()
	p, err := w.Rotate(t.Context(), web, refresh)
	wantFault(t, err, fault.Unauthenticated, "invalid_token")
	if p != (token.Pair{}) {
		t.Error("a refused refresh returned tokens")
	}
}

// claims returns the claims of a pair's access token after verifying it with
// the published keys.
func (w *world) claims(t testing.TB, p token.Pair) map[string]any {
	t.Helper()
	return decode(t, w.payload(t, p))
}

// actor is the actor of a request with the access token of a pair.
func (w *world) actor(t testing.TB, p token.Pair) identity.Actor {
	t.Helper()
	c := w.claims(t, p)
	return identity.Actor{Kind: identity.ActorUser, ID: c["sub"].(string), SessionID: c["sid"].(string), TokenID: c["jti"].(string), Address: web.Address}
}

// bearer is the user of the access token of a pair, as read now.
func (w *world) bearer(t testing.TB, p token.Pair) (*identity.User, error) {
	t.Helper()
	return w.Bearer(t.Context(), presented(w.actor(t, p)))
}

func presented(by identity.Actor) token.Presented {
	return token.Presented{UserID: by.ID, SessionID: by.SessionID, ID: by.TokenID}
}

func (w *world) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// events returns the audit rows of an action, newest first.
func (w *world) events(t testing.TB, action identity.Action) []store.Event {
	t.Helper()
	w.audit.Flush()
	all, err := w.store.Events(context.Background(), 1000)
	w.must(t, err)
	var found []store.Event
	for _, ev := range all {
		if ev.Action == action {
			found = append(found, ev)
		}
	}
	return found
}

func wantFault(t testing.TB, err error, kind fault.Kind, code string) {
	t.Helper()
	if !faultIs(err, kind, code) {
		t.Errorf("error is %v, want kind %d, code %s", err, kind, code)
	}
}

// RevokedJTIs lists the ids of all revoked access tokens.
func (w *world) RevokedJTIs(ctx context.Context) ([]string, error) {
	jtis := []string{}
	err := w.Revocations().Update(ctx, func(part []store.Revocation) {
		for _, r := range part {
			jtis = append(jtis, r.JTI)
		}
	})
	slices.Sort(jtis)
	return slices.Compact(jtis), err
}

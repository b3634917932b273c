package directory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/password"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
)

const secret = "correct horse"

var (
	system = identity.Actor{Kind: identity.ActorSystem}
	web    = identity.Actor{Address: "192.0.2.7", RequestID: "req-1"}
	epoch  = testrig.Epoch() // start time of each world
)

// world is a Directory over a real database with cheap hashes.
type world struct {
	*directory.Directory
	store  *store.Store
	hasher *password.Hasher
	audit  *audit.Log
	clock  *storetest.Clock
	log    *testrig.Buffer
}

func TestMain(m *testing.M) { storetest.Main(m) }

type option func(*directory.Config)

func each(t *testing.T, test func(t *testing.T, w *world), opts ...option) {
	t.Helper()
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) { test(t, newWorld(r)) }, rigged(opts)...)
}

// open returns a new world on SQLite.
func open(t *testing.T, opts ...option) *world {
	t.Helper()
	return newWorld(testrig.Open(t, rigged(opts)...))
}

func rigged(opts []option) (all []testrig.Option) {
	for _, o := range opts {
		all = append(all, func(c *testrig.Config) { o(&c.Directory) })
	}
	return all
}

func newWorld(r *testrig.Rig) *world {
	return &world{Directory: r.Directory, store: r.Store, hasher: r.Passwords, audit: r.Audit, clock: r.Clock, log: r.Log}
}

// user creates and returns a user.
func (w *world) user(t *testing.T, name string, role identity.Role, orgID string) identity.User {
	t.Helper()
	u, err := w.CreateUser(t.Context(), system, directory.NewUser{
		Email: name + "@pico.example", Password: secret, Role: string(role), OrgID: orgID,
	})
	if err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	return u
}

func (w *world) suspend(t *testing.T, u identity.User) {
	t.Helper()
	if _, err := w.SetStatus(t.Context(), system, u.ID, "suspended", ""); err != nil {
		t.Fatal(err)
	}
}

// knows reports whether the password is the user's.
func (w *world) knows(t *testing.T, userID, pass string) bool {
	t.Helper()
	u, err := w.store.UserByID(t.Context(), userID)
	if err != nil {
		t.Fatal(err)
	}
	ok, err := w.hasher.Verify(t.Context(), "", u.PasswordHash, pass)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// session starts a session of the user and returns them as its actor.
func (w *world) session(t *testing.T, u identity.User) identity.Actor {
	t.Helper()
	u, err := w.store.UserByID(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("%s-%d", u.ID[:20], time.Now().UnixNano()%1e9)
	by := identity.Actor{Kind: identity.ActorUser, ID: u.ID, SessionID: id, TokenID: id, Address: web.Address, RequestID: web.RequestID}
	end := w.clock.Now().Add(time.Hour)
	proof := identity.NewProof(u, w.clock.Now(), identity.MethodPassword)
	_, err = w.store.StartSession(t.Context(), store.Act{Action: "test", By: by}, proof, store.NewFamily{
		ID: id, ClientID: identity.FirstPartyClient, ExpiresAt: end,
		First: store.NewRefresh{Hash: id, ExpiresAt: end, AccessJTI: id, AccessExpiresAt: w.clock.Now().Add(time.Minute)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return by
}

// ended returns why an access token is refused, empty while it is accepted.
func (w *world) ended(t *testing.T, by identity.Actor) store.EndReason {
	t.Helper()
	b, err := w.store.Bearer(t.Context(), by.ID, by.SessionID, by.TokenID)
	if err != nil {
		t.Fatal(err)
	}
	return b.Ended
}

// change is ChangePassword without its tokens.
func (w *world) change(ctx context.Context, by identity.Actor, oldPassword, newPassword string) error {
	_, err := w.ChangePassword(ctx, by, oldPassword, newPassword)
	return err
}

func actor(u identity.User) identity.Actor {
	return identity.Actor{Kind: identity.ActorUser, ID: u.ID, Address: web.Address, RequestID: web.RequestID}
}

// code returns "ok", or the stable code of a refusal.
func code(err error) string {
	var f *fault.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &f):
		return f.Code
	default:
		return "internal: " + err.Error()
	}
}

// fields lists the fields that a refusal names.
func fields(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Invalid {
		return code(err)
	}
	var at []string
	for _, field := range f.Fields {
		at = append(at, field.Name)
	}
	return strings.Join(at, " ")
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Errorf("ended as %s, want %s", got, want)
	}
}

package login_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/login"
	"github.com/pico-auth/pico-auth/internal/password"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
)

const secret = "correct horse"

var web = identity.Actor{Address: "192.0.2.7", RequestID: "req-1"}

func TestMain(m *testing.M) { storetest.Main(m) }

type world struct {
	*login.Login
	store  *store.Store
	hasher *password.Hasher
	audit  *audit.Log
	log    *testrig.Buffer // read after audit.Flush
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) { test(t, newWorld(r)) })
}

func open(t *testing.T, opts ...testrig.Option) *world {
	t.Helper()
	return newWorld(testrig.Open(t, opts...))
}

func newWorld(r *testrig.Rig) *world {
	return &world{Login: r.Login, store: r.Store, hasher: r.Passwords, audit: r.Audit, log: r.Log}
}

func (w *world) user(t *testing.T, email string, status identity.Status) identity.User {
	t.Helper()
	hash, err := w.hasher.Hash(t.Context(), "", secret)
	if err != nil {
		t.Fatal(err)
	}
	u := identity.User{
		ID: "id-" + string(status), Email: email, EmailKey: identity.EmailKey(email), PasswordHash: hash,
		Role: identity.Viewer, OrgID: identity.DefaultOrg, Status: status, CreatedAt: time.Now(),
	}
	act := store.Act{Action: "test", By: identity.Actor{Kind: identity.ActorSystem}}
	if err := w.store.CreateUser(t.Context(), act, u); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.SetStatus(t.Context(), act, u.ID, status); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestTheRightPasswordProvesTheUser(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.user(t, "Ada@Pico.example", identity.Active)
		for _, typed := range []string{"Ada@Pico.example", "ada@pico.example", "ADA@PICO.EXAMPLE"} {
			got, err := w.Password(t.Context(), web, typed, secret)
			if err != nil || got.UserID() != u.ID || got.CredentialsVersion() != 0 || !slices.Equal(got.Methods(), []string{"pwd"}) {
				t.Errorf("%s: %+v, %v", typed, got, err)
			}
		}
		if got := w.Stats(); got != (login.Stats{Succeeded: 3}) {
			t.Errorf("stats: %+v", got)
		}
	})
}

func TestUnknownWrongAndSuspendedLookTheSame(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user(t, "ada@pico.example", identity.Active)
		w.user(t, "sam@pico.example", identity.Suspended)
		for name, try := range map[string][2]string{
			"unknown":                   {"nobody@pico.example", secret},
			"wrong":                     {"ada@pico.example", "wrong horse"},
			"empty":                     {"ada@pico.example", ""},
			"suspended":                 {"sam@pico.example", secret},
			"suspended, wrong":          {"sam@pico.example", "wrong horse"},
			"no address":                {"admin", secret},
			"NUL":                       {"ada@pico.example\x00", secret},
			"not UTF-8":                 {"ada@pico.example\xff", secret},
			"endless":                   {strings.Repeat("a", 1<<16), secret},
			"over 72 bytes":             {"ada@pico.example", strings.Repeat("x", 73)},
			"right and then some bytes": {"ada@pico.example", secret + strings.Repeat("x", 80)},
		} {
			before := w.hasher.Stats().Done
			got, err := w.Password(t.Context(), web, try[0], try[1])
			var f *fault.Error
			if !errors.As(err, &f) || f != identity.ErrInvalidCredentials || got.UserID() != "" {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			if err != nil && err.Error() != identity.ErrInvalidCredentials.Error() {
				t.Errorf("%s: the text differs: %v", name, err)
			}
			if done := w.hasher.Stats().Done - before; done != 1 {
				t.Errorf("%s: %d hashes", name, done)
			}
		}
		if got := w.Stats(); got != (login.Stats{UnknownUser: 5, WrongPassword: 5, Suspended: 1}) {
			t.Errorf("stats: %+v", got)
		}
	})
}

func TestFailuresOfKnownUsersAreStoredAndOfUnknownOnesOnlyLogged(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.user(t, "ada@pico.example", identity.Active)
		const typo = "my-real-password"
		_, _ = w.Password(t.Context(), web, u.Email, "wrong horse")
		_, _ = w.Password(t.Context(), web, typo, "wrong horse")
		_, _ = w.Password(t.Context(), web, typo, "other horse")
		w.audit.Flush()

		events, err := w.store.Events(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		var failed []store.Event
		for _, ev := range events {
			if ev.Action == identity.ActionLogin {
				failed = append(failed, ev)
			}
		}
		if len(failed) != 1 || failed[0].TargetID != u.ID || failed[0].Outcome != store.OutcomeRefused ||
			failed[0].Address != web.Address || failed[0].RequestID != web.RequestID || failed[0].ActorID != "" {
			t.Errorf("audit rows: %+v", failed)
		}
		log := w.log.String()
		if n := strings.Count(log, `"msg":"login"`); n != 3 {
			t.Errorf("%d log records of 3 failures", n)
		}
		for _, never := range []string{typo, "horse", u.Email} {
			if strings.Contains(log, never) {
				t.Errorf("the log holds %q", never)
			}
		}
		digests := regexp.MustCompile(`"detail":"unknown_user","email_digest":"[0-9a-f]{12}"`).FindAllString(log, -1)
		if len(digests) != 2 || digests[0] != digests[1] {
			t.Errorf("digests of one unknown address: %v", digests)
		}
		plain := sha256.Sum256([]byte(typo))
		if strings.Contains(log, hex.EncodeToString(plain[:4])) {
			t.Error("the digest has no secret key")
		}
	})
}

func TestTooManyConcurrentLoginsAreThrottledAndCounted(t *testing.T) {
	w := open(t, func(c *testrig.Config) { c.Passwords.Workers, c.Passwords.Queue = 1, 1 })
	var all sync.WaitGroup
	var throttled, refused sync.Map
	for i := range 64 {
		all.Go(func() {
			_, err := w.Password(t.Context(), web, "nobody@pico.example", secret)
			switch {
			case fault.KindOf(err) == fault.Throttled:
				throttled.Store(i, true)
			case errors.Is(err, identity.ErrInvalidCredentials):
				refused.Store(i, true)
			default:
				t.Errorf("Password: %v", err)
			}
		})
	}
	all.Wait()
	got := w.Stats()
	if got.Throttled != size(&throttled) || got.UnknownUser != size(&refused) || got.Throttled == 0 || got.UnknownUser == 0 {
		t.Errorf("stats: %+v", got)
	}
}

func size(m *sync.Map) (n uint64) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

func TestAnUnavailableDatabaseIsNoWrongPassword(t *testing.T) {
	w := open(t)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := w.Password(t.Context(), web, "ada@pico.example", secret)
	if err == nil || fault.KindOf(err) == fault.Unauthenticated || errors.Is(err, identity.ErrInvalidCredentials) {
		t.Errorf("error is %v", err)
	}
	if got := w.Stats(); got != (login.Stats{Failed: 1}) {
		t.Errorf("stats: %+v", got)
	}
}

func TestACancelledRequestIsNoFailure(t *testing.T) {
	w := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Password(ctx, web, "ada@pico.example", secret); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if got := w.Stats(); got != (login.Stats{}) {
		t.Errorf("stats: %+v", got)
	}
}

func TestTheDefaultPasswordIsRefusedOverANetwork(t *testing.T) {
	w := open(t)
	u := w.user(t, "admin@pico.local", identity.Active)
	u.ID, u.Email, u.EmailKey, u.DefaultPassword = "marked", "marked@pico.local", "marked@pico.local", true
	if err := w.store.CreateUser(t.Context(), store.Act{Action: "test", By: identity.Actor{Kind: identity.ActorSystem}}, u); err != nil {
		t.Fatal(err)
	}
	exposed := login.New(login.Config{Store: w.store, Passwords: w.hasher, Audit: w.audit, Exposed: true})
	for _, c := range []struct {
		where *login.Login
		email string
		want  error
	}{
		{w.Login, "marked@pico.local", nil},
		{exposed, "marked@pico.local", identity.ErrInvalidCredentials},
		{exposed, "admin@pico.local", nil},
	} {
		if _, err := c.where.Password(t.Context(), web, c.email, secret); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.email, err, c.want)
		}
	}
	if got := exposed.Stats(); got.Published != 1 || got.Succeeded != 1 {
		t.Errorf("counted %+v", got)
	}
}

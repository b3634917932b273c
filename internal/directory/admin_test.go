package directory_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/password"
	"github.com/pico-auth/pico-auth/internal/store"
)

const adminEmail = "admin@pico.local"

func (w *world) ensure(t *testing.T, email, pass string) bool {
	t.Helper()
	created, err := w.EnsureAdmin(t.Context(), email, pass)
	if err != nil {
		t.Fatalf("EnsureAdmin: %v", err)
	}
	return created
}

func (w *world) byEmail(t *testing.T, email string) identity.User {
	t.Helper()
	u, err := w.store.UserByEmail(t.Context(), identity.EmailKey(email))
	if err != nil {
		t.Fatal(err)
	}
	return *u
}

func TestTheFirstAdminHasTheDefaultPasswordAndItsMark(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if !w.ensure(t, adminEmail, password.Default) {
			t.Error("no user was created")
		}
		u := w.byEmail(t, adminEmail)
		if u.Role != identity.Superadmin || u.OrgID != "default" || u.Status != identity.Active || !u.DefaultPassword || u.DisplayName != "Admin" {
			t.Errorf("created %+v", u)
		}
		if !w.knows(t, u.ID, password.Default) {
			t.Error("the password does not verify")
		}
		done := w.hasher.Stats().Done
		if w.ensure(t, adminEmail, password.Default) {
			t.Error("a second start created a user")
		}
		if w.hasher.Stats().Done != done {
			t.Error("a second start computed a hash")
		}
	})
}

func TestAConfiguredPasswordReplacesTheMarkedOneAndNoOther(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.ensure(t, adminEmail, password.Default)
		by := w.session(t, w.byEmail(t, adminEmail))
		if w.ensure(t, "other@pico.local", "battery staple"); !w.byEmail(t, adminEmail).DefaultPassword {
			t.Error("the password of another address was replaced")
		}
		if w.ensure(t, "Admin@pico.local", "battery staple") {
			t.Error("a user was created")
		}
		u := w.byEmail(t, adminEmail)
		if u.DefaultPassword || !w.knows(t, u.ID, "battery staple") || w.knows(t, u.ID, password.Default) {
			t.Error("the default password was kept")
		}
		if got := w.ended(t, by); got != store.EndPasswordReset {
			t.Errorf("the default password's session ended for %q", got)
		}
		w.ensure(t, adminEmail, "another staple")
		if !w.knows(t, u.ID, "battery staple") {
			t.Error("a password that was chosen was replaced")
		}
	})
}

func TestTheMarkGoesWithTheDefaultPassword(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.ensure(t, adminEmail, password.Default)
		u := w.byEmail(t, adminEmail)
		if err := w.change(t.Context(), w.session(t, u), password.Default, "battery staple"); err != nil {
			t.Fatal(err)
		}
		if w.byEmail(t, adminEmail).DefaultPassword {
			t.Error("the mark was kept")
		}
		if got := fields(w.ResetPassword(t.Context(), system, u.ID, password.Default)); got != "new_password" {
			t.Errorf("back to the default: %s", got)
		}
	})
}

func TestTheFirstAdminsPasswordObeysThePolicyUnlessItIsTheDefault(t *testing.T) {
	w := open(t)
	_, err := w.EnsureAdmin(t.Context(), "nobody", "short")
	if got := fields(err); got != "auth.admin_email auth.admin_password" {
		t.Errorf("named %q", got)
	}
	if has, err := w.store.HasSuperadmin(t.Context()); has || err != nil {
		t.Errorf("HasSuperadmin = %v, %v", has, err)
	}
	w.ensure(t, adminEmail, password.Default)
	_, err = w.EnsureAdmin(t.Context(), adminEmail, "short")
	if got := fields(err); got != "auth.admin_password" {
		t.Errorf("a weak replacement: named %q", got)
	}
	if !strings.HasPrefix(err.Error(), "auth.admin_password: ") {
		t.Errorf("the message does not name the setting: %v", err)
	}
	if !w.ensure(t, adminEmail, password.Default) && !w.byEmail(t, adminEmail).DefaultPassword {
		t.Error("a refused replacement removed the mark")
	}
}

func TestNoAdminIsMadeWhileASuperadminExists(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		asleep := w.user(t, "asleep", identity.Superadmin, "default")
		w.user(t, "root", identity.Superadmin, "default")
		w.suspend(t, asleep)
		if w.ensure(t, adminEmail, password.Default) || w.ensure(t, adminEmail, "battery staple") {
			t.Error("a user was created")
		}
	})
}

func TestAUserWithTheAdminsAddressIsNotPromoted(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		squatter, err := w.Register(t.Context(), web, adminEmail, secret, "")
		if err != nil {
			t.Fatal(err)
		}
		if w.ensure(t, adminEmail, password.Default) {
			t.Error("a user was created")
		}
		if u := w.byEmail(t, adminEmail); u.ID != squatter.ID || u.Role != identity.Viewer || !w.knows(t, u.ID, secret) {
			t.Errorf("the squatter became %+v", u)
		}
		if !strings.Contains(w.log.String(), "set-role") {
			t.Error("no warning was logged")
		}
	})
}

func TestOneFirstAdminUnderConcurrency(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var created atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				ok, err := w.EnsureAdmin(t.Context(), adminEmail, password.Default)
				if err != nil {
					t.Errorf("EnsureAdmin: %v", err)
				}
				if ok {
					created.Add(1)
				}
			})
		}
		all.Wait()
		if created.Load() != 1 {
			t.Errorf("%d first administrators", created.Load())
		}
	})
}

func TestAnUnavailableDatabaseIsNoRefusal(t *testing.T) {
	w := open(t)
	u := w.user(t, "ada", identity.Superadmin, "default")
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, by := t.Context(), actor(u)
	ends := map[string]error{}
	_, ends["register"] = w.Register(ctx, web, "bob@pico.example", secret, "")
	_, ends["create"] = w.CreateUser(ctx, by, directory.NewUser{Email: "bob@pico.example", Password: secret})
	_, ends["role"] = w.SetRole(ctx, by, u.ID, "viewer", "")
	_, ends["registration"] = w.SetRegistration(ctx, by, false)
	_, ends["ensure"] = w.EnsureAdmin(ctx, adminEmail, password.Default)
	_, ends["group"] = w.CreateGroup(ctx, by, directory.NewGroup{Name: "x"})
	ends["change"] = w.change(ctx, by, secret, "battery staple")
	ends["reset"] = w.ResetPassword(ctx, by, u.ID, "battery staple")
	for act, err := range ends {
		if kind := fault.KindOf(err); kind != fault.Unavailable {
			t.Errorf("%s: kind %d, %v", act, kind, err)
		}
	}
}

func TestAnUnavailableHasherIsNoRefusal(t *testing.T) {
	w := open(t)
	u := w.user(t, "ada", identity.Viewer, "default")
	by := w.session(t, u)
	w.hasher.Close()
	_, err := w.Register(t.Context(), web, "bob@pico.example", secret, "")
	wantCode(t, err, "unavailable")
	_, err = w.CreateUser(t.Context(), system, directory.NewUser{Email: "bob@pico.example", Password: secret})
	wantCode(t, err, "unavailable")
	_, err = w.EnsureAdmin(t.Context(), adminEmail, password.Default)
	wantCode(t, err, "unavailable")
	wantCode(t, w.change(t.Context(), by, secret, "battery staple"), "unavailable")
	wantCode(t, w.ResetPassword(t.Context(), system, u.ID, "battery staple"), "unavailable")
	if w.ended(t, by) != "" {
		t.Error("a session was ended")
	}
}

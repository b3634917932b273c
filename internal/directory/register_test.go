package directory_test

import (
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

func TestRegisteringMakesAViewerOfTheDefaultOrganization(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u, err := w.Register(t.Context(), web, "Ada@Pico.example", "secret123", "Ada Lovelace")
		if err != nil {
			t.Fatal(err)
		}
		if u.Role != identity.Viewer || u.OrgID != "default" || u.Status != identity.Active || u.Email != "Ada@pico.example" ||
			u.DisplayName != "Ada Lovelace" || !u.CreatedAt.Equal(epoch) || u.DefaultPassword {
			t.Errorf("registered %+v", u)
		}
		if !w.knows(t, u.ID, "secret123") {
			t.Error("the password does not verify")
		}
		stored, err := w.store.UserByEmail(t.Context(), "ada@pico.example")
		if err != nil || stored.ID != u.ID || stored.DisplayName != u.DisplayName {
			t.Errorf("stored %+v, %v", stored, err)
		}
		if log := w.log.String(); strings.Contains(log, "secret123") || strings.Count(log, `"msg":"user.register"`) != 1 {
			t.Errorf("log: %s", log)
		}
	})
}

func TestATakenAddressIsAConflictAfterTheSameWork(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		before := w.hasher.Stats().Done
		if _, err := w.Register(t.Context(), web, "ada@pico.example", secret, ""); err != nil {
			t.Fatal(err)
		}
		free := w.hasher.Stats().Done - before
		before = w.hasher.Stats().Done
		got, err := w.Register(t.Context(), web, "ADA@pico.example", secret, "")
		wantCode(t, err, "email_taken")
		if fault.KindOf(err) != fault.Conflict || got != (identity.User{}) {
			t.Errorf("kind %d, %+v", fault.KindOf(err), got)
		}
		if taken := w.hasher.Stats().Done - before; taken != free || free != 1 {
			t.Errorf("%d hashes for a taken address, %d for a free one", taken, free)
		}
	})
}

func TestEveryBadFieldOfARegistrationIsReportedWithoutAHash(t *testing.T) {
	w := open(t)
	for _, c := range []struct{ name, email, password, display, want string }{
		{"all", "nobody", "short", "a\x00b", "email password display_name"},
		{"none given", "", "", "", "email password"},
		{"common password", "ada@pico.example", "iloveyou", "", "password"},
		{"password is the address", "ada.lovelace@pico.example", "Ada.Lovelace99", "", "password"},
		{"password is the organization", "ada@pico.example", "Default-2026!", "", "password"},
		{"73 bytes", "ada@pico.example", strings.Repeat("x", 73), "", "password"},
		{"the published default", "ada@pico.example", "admin", "", "password"},
		{"long name", "ada@pico.example", secret, strings.Repeat("x", 256), "display_name"},
		{"list of addresses", "ada@pico.example,bob@pico.example", secret, "", "email"},
	} {
		_, err := w.Register(t.Context(), web, c.email, c.password, c.display)
		if got := fields(err); got != c.want {
			t.Errorf("%s: named %q, want %q", c.name, got, c.want)
		}
		for _, value := range []string{c.email, c.password, c.display} {
			if len(value) > 5 && err != nil && strings.Contains(err.Error(), value) {
				t.Errorf("%s: the refusal echoes the value", c.name)
			}
		}
	}
	if done := w.hasher.Stats().Done; done != 0 {
		t.Errorf("%d hashes", done)
	}
}

func TestRegistrationIsDecidedByTheConfigurationsNoThenTheSwitchThenTheDefault(t *testing.T) {
	for _, c := range []struct {
		name          string
		off, standard bool
		stored        string
		want          string
	}{
		{"default on", false, true, "", "ok"},
		{"default off", false, false, "", "registration_disabled"},
		{"switched off", false, true, "off", "registration_disabled"},
		{"switched on over a default", false, false, "on", "ok"},
		{"explicit no", true, true, "", "registration_disabled"},
		{"explicit no over a switch", true, true, "on", "registration_disabled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := open(t, func(cfg *directory.Config) { cfg.RegistrationOff, cfg.RegistrationDefault = c.off, c.standard })
			if c.stored != "" {
				now, err := w.SetRegistration(t.Context(), system, c.stored == "on")
				if err != nil || now != (c.want == "ok") {
					t.Errorf("set: %v, %v", now, err)
				}
			}
			open, err := w.Registration(t.Context())
			if err != nil || open != (c.want == "ok") {
				t.Errorf("Registration = %v, %v", open, err)
			}
			_, err = w.Register(t.Context(), web, "ada@pico.example", secret, "")
			wantCode(t, err, c.want)
			if c.want != "ok" && fault.KindOf(err) != fault.Forbidden {
				t.Errorf("kind %d", fault.KindOf(err))
			}
		})
	}
}

func TestOnlyASuperadminSwitchesRegistration(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for role, want := range map[identity.Role]string{
			identity.Viewer: "forbidden", identity.Operator: "forbidden", identity.OrgAdmin: "forbidden", identity.Superadmin: "ok",
		} {
			u := w.user(t, string(role), role, "default")
			_, err := w.SetRegistration(t.Context(), actor(u), false)
			wantCode(t, err, want)
		}
		if open, err := w.Registration(t.Context()); open || err != nil {
			t.Errorf("Registration = %v, %v", open, err)
		}
	})
}

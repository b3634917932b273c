package directory_test

import (
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// A stolen access token is tried with guessed passwords: the audit log says at what.
func TestAWrongPasswordForAnActOnTheOwnAccountIsInTheAuditLog(t *testing.T) {
	w := open(t)
	by := w.session(t, w.user(t, "ada", identity.Viewer, "acme"))
	for action, try := range map[identity.Action]func() error{
		identity.ActionChangePassword: func() error { return w.change(t.Context(), by, "guess", "staple the other horse") },
		identity.ActionReauthenticate: func() error { return w.Reauthenticate(t.Context(), by, "guess") },
		identity.ActionDeleteUser:     func() error { return w.DeleteOwn(t.Context(), by, "guess", "") },
	} {
		wantCode(t, try(), "invalid_credentials")
		w.audit.Flush()
		events, err := w.store.Events(t.Context(), 1)
		if err != nil || len(events) != 1 {
			t.Fatal(events, err)
		}
		if ev := events[0]; ev.Action != action || ev.Outcome != "refused" || ev.Detail != "wrong_password" || ev.TargetID != by.ID {
			t.Errorf("%s: %+v", action, ev)
		}
	}
}

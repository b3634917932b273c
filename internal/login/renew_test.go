package login_test

import (
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/testrig"
)

// A hash from before, of a password that one keyboard composed and another does not,
// is replaced where the session starts; nothing else of the user changes.
func TestALoginRenewsTheHashWithItsSession(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		const composed, decomposed = "caf\u00e9-au-lait", "cafe\u0301-au-lait"
		raw, err := bcrypt.GenerateFromPassword([]byte(decomposed), 5)
		if err != nil {
			t.Fatal(err)
		}
		before := identity.PasswordHash("$2b$" + string(raw[4:])) // as Python wrote it
		u := identity.User{
			ID: "ada", Email: "ada@pico.example", PasswordHash: before, PasswordForm: identity.FormRaw,
			Role: identity.Viewer, OrgID: identity.DefaultOrg, DefaultPassword: true,
		}
		if err := r.Store.CreateUser(t.Context(), store.Act{Action: "test", By: identity.Actor{Kind: identity.ActorSystem}}, u); err != nil {
			t.Fatal(err)
		}
		read := func() identity.User {
			t.Helper()
			u, err := r.Store.UserByID(t.Context(), "ada")
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		proof, err := r.Login.Password(t.Context(), web, "ada@pico.example", composed)
		if err != nil {
			t.Fatal(err)
		}
		if u := read(); u.PasswordHash != before {
			t.Error("the hash changed without a session")
		}
		if _, err := r.Sessions.Start(t.Context(), web, proof); err != nil {
			t.Fatal(err)
		}
		after := read()
		if after.PasswordForm != identity.FormNFC || !strings.HasPrefix(string(after.PasswordHash), "$2a$04$") ||
			bcrypt.CompareHashAndPassword([]byte(after.PasswordHash), []byte(composed)) != nil {
			t.Errorf("%s is stored as %s", string(after.PasswordHash), after.PasswordForm)
		}
		if after.CredentialsVersion != 0 || !after.DefaultPassword || after.UpdatedAt != u.UpdatedAt {
			t.Errorf("%+v", after)
		}
		for _, typed := range []string{decomposed, composed} {
			proof, err := r.Login.Password(t.Context(), web, "ada@pico.example", typed)
			if _, renewed := proof.Renewed(); err != nil || renewed != "" {
				t.Errorf("%q: renewed %t, %v", typed, renewed != "", err)
			}
		}

		// Two logins at once: the second one matched a hash that was replaced.
		if _, err := r.Sessions.Start(t.Context(), web, proof); err != nil {
			t.Fatal(err)
		}
		if again := read(); again.PasswordHash != after.PasswordHash {
			t.Error("the second login replaced a hash that it had not matched")
		}
	})
}

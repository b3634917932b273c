package session_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
)

const secret = "correct horse"

var (
	system = identity.Actor{Kind: identity.ActorSystem}
	web    = identity.Actor{Address: "192.0.2.7", UserAgent: "curl/8", RequestID: "req-1"}
)

func TestMain(m *testing.M) { storetest.Main(m) }

// user creates a user and a proof by their password.
func user(t *testing.T, r *testrig.Rig, email string) (identity.User, identity.Proof) {
	t.Helper()
	u, err := r.Directory.CreateUser(t.Context(), system, directory.NewUser{Email: email, Password: secret, OrgID: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	proof, err := r.Login.Password(t.Context(), web, email, secret)
	if err != nil {
		t.Fatal(err)
	}
	return u, proof
}

func TestAProofBecomesASessionOnlyWhileItIsTrue(t *testing.T) {
	for name, happen := range map[string]func(r *testrig.Rig, id string) error{
		"suspended": func(r *testrig.Rig, id string) error {
			_, err := r.Directory.SetStatus(t.Context(), system, id, "suspended", "")
			return err
		},
		"another password": func(r *testrig.Rig, id string) error {
			return r.Directory.ResetPassword(t.Context(), system, id, "battery staple")
		},
		"the same password again": func(r *testrig.Rig, id string) error {
			return r.Directory.ResetPassword(t.Context(), system, id, secret)
		},
		"deleted": func(r *testrig.Rig, id string) error { return r.Directory.Delete(t.Context(), system, id, "") },
	} {
		t.Run(name, func(t *testing.T) {
			testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
				u, proof := user(t, r, "ada@pico.example")
				if _, err := r.Sessions.Start(t.Context(), web, proof); err != nil {
					t.Fatal(err)
				}
				if err := happen(r, u.ID); err != nil {
					t.Fatal(err)
				}
				pair, err := r.Sessions.Start(t.Context(), web, proof)
				if fault.KindOf(err) != fault.Unauthenticated || pair.AccessToken+pair.RefreshToken != "" {
					t.Errorf("a session started: %v", err)
				}
				r.Audit.Flush()
				if !strings.Contains(r.Log.String(), "changed_meanwhile") {
					t.Error("no log record says so")
				}
			})
		})
	}
}

// A proof does not depend on the role.
func TestAProofOutlivesAChangeOfRole(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		u, proof := user(t, r, "ada@pico.example")
		if _, err := r.Directory.SetRole(t.Context(), system, u.ID, "operator", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Sessions.Start(t.Context(), web, proof); err != nil {
			t.Error(err)
		}
	})
}

func TestTheZeroProofStartsNothing(t *testing.T) {
	r := testrig.Open(t)
	if _, err := r.Sessions.Start(t.Context(), web, identity.Proof{}); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("error is %v", err)
	}
}

func TestTheUserAgentIsStoredAsFarAsPossible(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		r := testrig.New(t, url)
		_, proof := user(t, r, "ada@pico.example")
		for _, name := range []string{"", "curl/8", "\xff\x00bad", strings.Repeat("é", 400)} {
			by := web
			by.UserAgent = name
			if _, err := r.Sessions.Start(t.Context(), by, proof); err != nil {
				t.Errorf("%.10q: %v", name, err)
			}
		}
		stored := map[string]bool{}
		for _, row := range storetest.Rows(t, url, "SELECT user_agent, address FROM sessions") {
			stored[row[0]] = true
			if len(row[0]) > 255 || !utf8.ValidString(row[0]) || row[1] != web.Address {
				t.Errorf("stored %q from %q", row[0], row[1])
			}
		}
		if !stored["curl/8"] || !stored["bad"] || !stored[""] || !stored[strings.Repeat("é", 127)] {
			t.Errorf("stored %v", stored)
		}
	})
}

func TestASessionEndsForGoodAtItsAbsoluteEnd(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		_, proof := user(t, r, "ada@pico.example")
		sessions := session.New(session.Config{Store: r.Store, Tokens: r.Tokens, Audit: r.Audit, Max: 3 * time.Hour, Now: r.Clock.Now})
		pair, err := sessions.Start(t.Context(), web, proof)
		for range 3 {
			if err != nil {
				t.Fatal(err)
			}
			r.Clock.Advance(time.Hour - time.Second)
			pair, err = r.Tokens.Rotate(t.Context(), web, pair.RefreshToken)
		}
		r.Clock.Advance(4 * time.Second)
		if _, err = r.Tokens.Rotate(t.Context(), web, pair.RefreshToken); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("it is still valid: %v", err)
		}
	})
}

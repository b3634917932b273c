package token_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/token"
)

// admin creates a user of the role and returns them as an actor.
func (w *world) admin(t *testing.T, role identity.Role, orgID string) identity.Actor {
	t.Helper()
	u := w.user(t, string(role)+"@"+orgID+".example", role, orgID)
	return identity.Actor{Kind: identity.ActorUser, ID: u.ID, Address: web.Address, RequestID: "req-2"}
}

func TestServiceTokenIsShownOnceAndValidates(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		by := w.admin(t, identity.OrgAdmin, "acme")
		made, secret, err := w.CreateServiceToken(t.Context(), by, token.NewServiceToken{Name: "indexer", Description: "nightly"})
		w.must(t, err)
		if !regexp.MustCompile(`^pico_svc_[0-9a-f]{64}$`).MatchString(secret) {
			t.Error("the secret has an unexpected form")
		}
		if made.Role != identity.Operator || made.OrgID != "acme" || made.Name != "indexer" || made.Description != "nightly" || made.ID == "" {
			t.Errorf("made %+v", made)
		}
		got, err := w.ValidateServiceToken(t.Context(), web, secret)
		if err != nil || got.ID != made.ID || got.Role != identity.Operator || got.OrgID != "acme" {
			t.Errorf("validated %+v, %v", got, err)
		}
		again, secret2, err := w.CreateServiceToken(t.Context(), by, token.NewServiceToken{Name: "indexer", Role: "viewer"})
		if err != nil || secret2 != "" || again.ID != made.ID {
			t.Errorf("the same name again: %+v, secret of %d bytes, %v", again, len(secret2), err)
		}
		if strings.Contains(w.log.String(), secret) || strings.Contains(w.log.String(), strings.TrimPrefix(secret, "pico_svc_")) {
			t.Error("the log holds the secret")
		}
		if n := len(w.events(t, identity.ActionCreateServiceToken)); n != 1 {
			t.Errorf("%d audit rows of one token", n)
		}
	})
}

func TestRevokedServiceTokenIsRefusedAndItsNameIsFree(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		by := w.admin(t, identity.Superadmin, identity.DefaultOrg)
		_, secret, err := w.CreateServiceToken(t.Context(), by, token.NewServiceToken{Name: "indexer"})
		w.must(t, err)
		w.must(t, w.RevokeServiceToken(t.Context(), by, "", "indexer"))
		_, err = w.ValidateServiceToken(t.Context(), web, secret)
		wantFault(t, err, fault.Unauthenticated, "invalid_token")
		wantFault(t, w.RevokeServiceToken(t.Context(), by, "", "indexer"), fault.NotFound, "not_found")
		_, fresh, err := w.CreateServiceToken(t.Context(), by, token.NewServiceToken{Name: "indexer"})
		if err != nil || fresh == "" || fresh == secret {
			t.Errorf("the name again: secret of %d bytes, %v", len(fresh), err)
		}
	})
}

func TestServiceTokensAreLimitedByRoleAndOrganization(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		super := w.admin(t, identity.Superadmin, identity.DefaultOrg)
		boss := w.admin(t, identity.OrgAdmin, "acme")
		operator := w.admin(t, identity.Operator, "acme")
		viewer := w.admin(t, identity.Viewer, "acme")
		for _, c := range []struct {
			name string
			by   identity.Actor
			want token.NewServiceToken
			kind fault.Kind
			code string
		}{
			{"superadmin grants anything anywhere", super, token.NewServiceToken{Role: "superadmin", OrgID: "acme"}, 0, ""},
			{"org_admin grants org_admin in the own organization", boss, token.NewServiceToken{Role: "org_admin", OrgID: "acme"}, 0, ""},
			{"org_admin grants superadmin", boss, token.NewServiceToken{Role: "superadmin"}, fault.Forbidden, "forbidden"},
			{"org_admin in another organization", boss, token.NewServiceToken{OrgID: identity.DefaultOrg}, fault.NotFound, "not_found"},
			{"operator", operator, token.NewServiceToken{Role: "viewer"}, fault.Forbidden, "forbidden"},
			{"viewer", viewer, token.NewServiceToken{Role: "viewer"}, fault.Forbidden, "forbidden"},
		} {
			t.Run(c.name, func(t *testing.T) {
				c.want.Name = c.name
				_, secret, err := w.CreateServiceToken(t.Context(), c.by, c.want)
				if c.code == "" {
					if err != nil || secret == "" {
						t.Errorf("secret of %d bytes, %v", len(secret), err)
					}
					return
				}
				wantFault(t, err, c.kind, c.code)
				if secret != "" {
					t.Error("a refusal came with a secret")
				}
			})
		}
		wantFault(t, w.RevokeServiceToken(t.Context(), operator, "", "org_admin grants org_admin in the own organization"), fault.Forbidden, "forbidden")
		_, err := w.ServiceTokens(t.Context(), viewer, token.Filter{})
		wantFault(t, err, fault.Forbidden, "forbidden")
		page, err := w.ServiceTokens(t.Context(), boss, token.Filter{})
		if err != nil || page.Total != 2 {
			t.Errorf("org_admin sees %d, %v", page.Total, err)
		}
		refused := 0
		for _, ev := range w.events(t, identity.ActionCreateServiceToken) {
			if ev.Outcome == "refused" {
				refused++
			}
		}
		if refused != 3 {
			t.Errorf("%d refusals recorded", refused)
		}
	})
}

func TestAllServiceTokenFaultsAreReportedTogether(t *testing.T) {
	w := open(t)
	_, _, err := w.CreateServiceToken(t.Context(), system, token.NewServiceToken{
		Name: "a\x00b", Role: "emperor", OrgID: "two words", Description: strings.Repeat("x", 501), ExpiresAt: new(w.clock.Now()),
	})
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("error is %v", err)
	}
	var got []string
	for _, field := range f.Fields {
		got = append(got, field.Name)
	}
	if want := "name role org_id description expires_at"; strings.Join(got, " ") != want || f.Kind != fault.Invalid {
		t.Errorf("fields %q, want %q", got, want)
	}
}

func TestServiceTokenOfASuspendedOrUnknownActorIsRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		by := w.admin(t, identity.OrgAdmin, "acme")
		_, err := w.store.SetStatus(t.Context(), w.act(), by.ID, identity.Suspended)
		w.must(t, err)
		for _, actor := range []identity.Actor{by, {}, {Kind: identity.ActorUser, ID: "nobody"}} {
			_, secret, err := w.CreateServiceToken(t.Context(), actor, token.NewServiceToken{Name: "x", OrgID: "acme"})
			if err == nil || secret != "" {
				t.Errorf("%q got a secret of %d bytes", actor.ID, len(secret))
			}
			_, secret, err = w.CreateServiceToken(t.Context(), actor, token.NewServiceToken{Name: "x"})
			if err == nil || secret != "" {
				t.Errorf("%q got a secret of %d bytes", actor.ID, len(secret))
			}
		}
	})
}

func TestTheOperatorCreatesServiceTokensInTheDefaultOrganization(t *testing.T) {
	w := open(t)
	made, secret, err := w.CreateServiceToken(t.Context(), system, token.NewServiceToken{Name: "cli", Role: "superadmin"})
	if err != nil || secret == "" || made.OrgID != identity.DefaultOrg || made.Role != identity.Superadmin {
		t.Errorf("made %+v, %v", made, err)
	}
}

func TestAnInvalidServiceTokenIsRefused(t *testing.T) {
	w := open(t)
	for _, presented := range []string{
		"", "pico_svc_", "pico_svc_" + strings.Repeat("0", 64), strings.Repeat("0", 64), "pico_svc_\x00\xff",
		"pico_svc_" + strings.Repeat("x", 4<<20),
	} {
		_, err := w.ValidateServiceToken(t.Context(), web, presented)
		wantFault(t, err, fault.Unauthenticated, "invalid_token")
	}
}

func TestRevokingANameThatNoRowCanHoldIsNotFound(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, name := range []string{"", "nobody", "a\x00b", "\xff", strings.Repeat("x", 1<<20)} {
			wantFault(t, w.RevokeServiceToken(t.Context(), system, "", name), fault.NotFound, "not_found")
		}
	})
}

func TestServiceTokenListsArePagedAndBounded(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, name := range []string{"one", "two", "three"} {
			_, _, err := w.CreateServiceToken(t.Context(), system, token.NewServiceToken{Name: name, OrgID: "acme"})
			w.must(t, err)
			w.clock.Advance(time.Second)
		}
		first, err := w.ServiceTokens(t.Context(), system, token.Filter{Limit: 2})
		if err != nil || len(first.Items) != 2 || first.Total != 3 || first.Next == "" {
			t.Fatalf("first page: %d of %d, %v", len(first.Items), first.Total, err)
		}
		last, err := w.ServiceTokens(t.Context(), system, token.Filter{OrgID: "acme", Limit: 2, Cursor: first.Next})
		if err != nil || len(last.Items) != 1 || last.Items[0].Name != "three" || last.Next != "" {
			t.Errorf("last page: %+v, %v", last, err)
		}
		for _, org := range []string{"globex", "a\x00b", "\xff"} {
			none, err := w.ServiceTokens(t.Context(), system, token.Filter{OrgID: org})
			if err != nil || none.Items == nil || len(none.Items) != 0 {
				t.Errorf("organization %q: %+v, %v", org, none, err)
			}
		}
		for _, limit := range []int{-1, 1001} {
			_, err := w.ServiceTokens(t.Context(), system, token.Filter{Limit: limit})
			wantFault(t, err, fault.Invalid, "validation_failed")
		}
	})
}

package oidc_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/token"
)

// userinfo asks with the access token of a token response.
func (r *rig) userinfo(tokens response) response {
	r.t.Helper()
	req := r.request(http.MethodGet, "/oauth2/userinfo", nil)
	req.Header.Set("Authorization", "Bearer "+tokens.text("access_token"))
	return r.want(200, "", r.do(req))
}

// OpenID Connect Core 5.4: each scope is a set of claims, in the ID token and at
// userinfo alike, whose sub is the same.
func TestOIDCCoreSection54ClaimsByScope(t *testing.T) {
	r := newRig(t, "")
	u := r.user("ada@pico.example")
	by := identity.Actor{Kind: identity.ActorUser, ID: u.ID}
	changes := map[string]string{
		"display_name": "Ada L", "given_name": "Ada", "locale": "en", "website": "https://ada.example",
		"phone_number": "+44 20 7946 0018", "address.locality": "London", "address.formatted": "12 St James's Square\nLondon",
	}
	if _, err := r.Directory.UpdateOwn(t.Context(), by, changes, nil); err != nil {
		t.Fatal(err)
	}
	c, b := r.register(oauth.Settings{"scopes": oauth.Scopes()}), r.signedIn(u)
	for scope, want := range map[string][]string{
		"openid":                 nil,
		"openid profile":         {"given_name", "locale", "name", "updated_at", "website"},
		"openid email":           {"email", "email_verified"},
		"openid address":         {"address"},
		"openid phone":           {"phone_number", "phone_number_verified"},
		"openid groups":          {"groups"},
		"openid roles":           {"role"},
		"openid org":             {"org_id"},
		"openid roles org email": {"email", "email_verified", "org_id", "role"},
	} {
		tokens := r.want(200, "", r.redeem(c, b.code(c, "scope", scope)))
		_, id := r.claims(tokens.text("id_token"))
		info := r.userinfo(tokens).body
		if info["sub"] != u.ID || id["sub"] != u.ID {
			t.Errorf("sub %v and %v", id["sub"], info["sub"])
		}
		for name, claims := range map[string]map[string]any{"ID token": id, "userinfo": info} {
			var got []string
			for claim := range claims {
				if !slices.Contains([]string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "sid"}, claim) {
					got = append(got, claim)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s of %q: %v, want %v", name, scope, got, want)
			}
		}
		if address, there := info["address"].(map[string]any); there && (address["locality"] != "London" || address["formatted"] != "12 St James's Square\nLondon") {
			t.Errorf("address is %v", address)
		}
		if updated, there := info["updated_at"]; there {
			if _, number := updated.(float64); !number {
				t.Errorf("updated_at is %T", updated)
			}
		}
	}
}

// Products look users up by preferred_username. It is an address that an administrator
// has verified, and no client learns one by it that it would not get as email.
func TestOIDCCoreSection51PreferredUsernameIsTheVerifiedAddress(t *testing.T) {
	r := newRig(t, "")
	u := r.user("ada@pico.example")
	c, b := r.register(nil), r.signedIn(u)
	named := func(scope string) (inIDToken, atUserinfo any) {
		tokens := r.want(200, "", r.redeem(c, b.code(c, "scope", scope)))
		_, id := r.claims(tokens.text("id_token"))
		return id["preferred_username"], r.userinfo(tokens).body["preferred_username"]
	}
	const all = "openid profile email"
	if id, info := named(all); id != nil || info != nil {
		t.Errorf("an address that is not verified: %v, %v", id, info)
	}
	verified := true
	_, err := r.Directory.Update(t.Context(), system, u.ID, directory.UserChange{EmailVerified: &verified})
	r.ok(err)
	for scope, want := range map[string]any{all: "ada@pico.example", "openid profile": nil, "openid email": nil} {
		if id, info := named(scope); id != want || info != want {
			t.Errorf("%s: %v, %v, want %v", scope, id, info, want)
		}
	}
	tokens := r.want(200, "", r.redeem(c, b.code(c, "scope", "openid profile", "claims", `{"userinfo":{"preferred_username":null}}`)))
	if name := r.userinfo(tokens).body["preferred_username"]; name != nil {
		t.Errorf("by the parameter claims, without the address: %v", name)
	}
}

// OpenID Connect Core 5.5: single claims are asked for by name, for the ID token and for
// userinfo, and a refresh remembers it. A client gets none of a scope that it is not
// registered for.
func TestOIDCCoreSection55ClaimsParameter(t *testing.T) {
	r := newRig(t, "")
	c, b := r.register(nil), r.signedIn(r.user("ada@pico.example"))
	asked := `{"userinfo":{"email":{"essential":true},"role":null},"id_token":{"email_verified":null,"groups":null,"unknown":null}}`
	tokens := r.want(200, "", r.redeem(c, b.code(c, "scope", "openid", "claims", asked)))
	for range 2 {
		_, id := r.claims(tokens.text("id_token"))
		info := r.userinfo(tokens).body
		if id["email_verified"] != false || id["email"] != nil || id["groups"] != nil || id["unknown"] != nil {
			t.Errorf("ID token: %v", id)
		}
		if info["email"] != "ada@pico.example" || info["email_verified"] != nil || info["role"] != nil {
			t.Errorf("userinfo: %v", info)
		}
		tokens = r.want(200, "", r.token(c, "grant_type", "refresh_token", "refresh_token", tokens.text("refresh_token")))
	}
}

// OpenID Connect Core 3.1.2.1: id_token_hint is an ID token of the client that this
// server signed, expired or not, and the response is about its user.
func TestOIDCCoreSection3121IDTokenHint(t *testing.T) {
	r := newRig(t, "")
	c, other := r.register(nil), r.register(nil)
	ada, eve := r.user("ada@pico.example"), r.user("eve@pico.example")
	b := r.signedIn(ada)
	tokens := r.want(200, "", r.redeem(c, b.code(c)))
	hint := func(b *browser, c registered, token string) string {
		t.Helper()
		to := b.goes(authorization(c.Client, "prompt", "none", "id_token_hint", token)).Query()
		if to.Get("code") != "" {
			return "code"
		}
		return to.Get("error")
	}
	r.Clock.Advance(time.Hour)
	if got := hint(b, c, tokens.text("id_token")); got != "code" {
		t.Errorf("the hint of an expired ID token: %s", got)
	}
	for name, got := range map[string]string{
		"another user signed in": hint(r.signedIn(eve), c, tokens.text("id_token")),
		"of another client":      hint(b, other, tokens.text("id_token")),
		"an access token":        hint(b, c, tokens.text("access_token")),
		"changed":                hint(b, c, tokens.text("id_token")+"x"),
	} {
		if got != "login_required" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A client's custom claims are constants or parts of the user's metadata, in its tokens
// and at userinfo, and replace no claim that others decide by.
func TestCustomClaims(t *testing.T) {
	r := newRig(t, "")
	u := r.user("ada@pico.example")
	c := r.register(oauth.Settings{"scopes": []string{"openid"}, "claims": map[string]any{
		"tier": map[string]any{"value": json.RawMessage(`{"level":3}`)}, "department": map[string]any{"path": "admin.job.department"},
		"theme": map[string]any{"path": "user.theme"}, "missing": map[string]any{"path": "admin.nothing.there"}, "unset": map[string]any{"path": "admin.job.title"},
	}})
	if _, err := r.Directory.Update(t.Context(), system, u.ID, directory.UserChange{Metadata: map[string]json.RawMessage{
		"admin": json.RawMessage(`{"job":{"department":"R&D","id":12345678901234567890,"title":null}}`), "user": json.RawMessage(`{"theme":["dark",1.0]}`),
	}}); err != nil {
		t.Fatal(err)
	}
	tokens := r.want(200, "", r.redeem(c, r.signedIn(u).code(c)))
	for _, name := range []string{"id_token", "access_token"} {
		_, claims := r.claims(tokens.text(name))
		check(t, name, claims)
	}
	check(t, "userinfo", r.userinfo(tokens).body)
}

// Verifiers, this server among them, refuse tokens of more than 16 KiB unread. Claims that
// would make a longer one are at userinfo only.
func TestCustomClaimsThatNoTokenHoldsAreAtUserInfo(t *testing.T) {
	r := newRig(t, "")
	u := r.user("ada@pico.example")
	c := r.register(oauth.Settings{"scopes": []string{"openid"}, "claims": map[string]any{
		"constant": map[string]any{"value": strings.Repeat("x", 8000)}, "own": map[string]any{"path": "user.own"},
	}})
	b := r.signedIn(u)
	for own, kept := range map[string]bool{"small": true, strings.Repeat("y", 8000): false} {
		_, err := r.Directory.Update(t.Context(), system, u.ID, directory.UserChange{Metadata: map[string]json.RawMessage{"user": json.RawMessage(`{"own":"` + own + `"}`)}})
		r.ok(err)
		tokens := r.want(200, "", r.redeem(c, b.code(c)))
		for _, name := range []string{"id_token", "access_token"} {
			_, claims := r.claims(tokens.text(name))
			if _, there := claims["own"]; there != kept || len(tokens.text(name)) > jose.MaxToken {
				t.Errorf("%s of %d bytes: %t, want %t", name, len(tokens.text(name)), there, kept)
			}
		}
		if info := r.userinfo(tokens).body; info["own"] != own || info["constant"] == nil {
			t.Errorf("userinfo has %d claims", len(info))
		}
	}
}

func check(t *testing.T, where string, claims map[string]any) {
	t.Helper()
	got, err := json.Marshal(map[string]any{"tier": claims["tier"], "department": claims["department"], "theme": claims["theme"]})
	if err != nil {
		t.Fatal(err)
	}
	_, missing := claims["missing"]
	_, unset := claims["unset"] // null in the metadata: Core 5.3.2
	if missing || unset || !strings.Contains(string(got), `"tier":{"level":3}`) ||
		claims["department"] != "R&D" || !strings.Contains(string(got), `["dark",1]`) {
		t.Errorf("%s: %s", where, got)
	}
}

// The setting auth.group_claim decides for every token and for userinfo.
func TestClientsGetTheNamesOfGroupsWhereTheyAreConfigured(t *testing.T) {
	for claim, want := range map[token.GroupClaim]map[string]any{
		token.GroupIDs:   {"groups": []any{"g1", "g2"}},
		token.GroupNames: {"groups": []any{"On call", "Betrieb"}},
		token.GroupBoth:  {"groups": []any{"g1", "g2"}, "group_names": []any{"On call", "Betrieb"}},
	} {
		r := newRig(t, "", func(c *testrig.Config) { c.Tokens.GroupClaim = claim })
		u := r.user("ada@pico.example")
		act := store.Act{Action: "test", By: system}
		for id, name := range map[string]string{"g2": "Betrieb", "g1": "On call"} {
			_, err := r.Store.InsertGroup(t.Context(), act, identity.Group{ID: id, Name: name})
			r.ok(err)
			r.ok(r.Store.AddMember(t.Context(), act, id, u.ID))
		}
		c, b := r.register(oauth.Settings{"scopes": oauth.Scopes()}), r.signedIn(u)
		first := r.want(200, "", r.redeem(c, b.code(c, "scope", "openid groups")))
		again := r.want(200, "", r.token(c, "grant_type", "refresh_token", "refresh_token", first.text("refresh_token")))
		got := map[string]map[string]any{"userinfo": r.userinfo(again).body}
		for _, name := range []string{"id_token", "access_token"} {
			_, got[name] = r.claims(first.text(name))
			_, got["refreshed "+name] = r.claims(again.text(name))
		}
		for name, claims := range got {
			about := map[string]any{}
			for _, of := range []string{"groups", "group_names", "groups_truncated"} {
				if value, there := claims[of]; there {
					about[of] = value
				}
			}
			if diff := cmp.Diff(want, about); diff != "" {
				t.Errorf("%s, %s: %s", claim, name, diff)
			}
		}
	}
}

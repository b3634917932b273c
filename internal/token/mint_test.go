package token_test

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/token"
)

// typ is the typ of an access token's header.
func typ(t *testing.T, p token.Pair) string {
	t.Helper()
	header, _, err := jose.Inspect(p.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, header)["typ"].(string)
}

// of returns the transaction of a grant without checks, and records the family that
// it was given to store.
func of(s store.Subject, given **store.NewFamily) token.Commit {
	return func(_ context.Context, first *store.NewFamily) (store.Subject, error) {
		*given = first
		return s, nil
	}
}

// A nonce would make it an ID token for those who tell the two apart.
func TestAClientsTokenHasTheClaimsOfRFC9068(t *testing.T) {
	w := open(t)
	u := w.viewer(t)
	end := w.clock.Now().Add(30 * 24 * time.Hour)
	g := token.Grant{
		ClientID: "app", Scope: "openid email", Audience: "https://api.example", Typ: jose.TypeAccessToken,
		AccessLifetime: 5 * time.Minute, RefreshLifetime: time.Hour, Refresh: true, End: end,
		AuthTime: w.clock.Now().Add(-time.Minute), AMR: []string{"pwd"}, ACR: identity.ACROneFactor, Nonce: "n-1",
	}
	var given *store.NewFamily
	p, err := w.Mint(t.Context(), g, of(store.Subject{User: u, SessionID: "s-1"}, &given))
	w.must(t, err)
	if typ(t, p) != "at+jwt" || p.ExpiresIn != 5*time.Minute || p.RefreshToken == "" {
		t.Errorf("typ %s, expires in %v", typ(t, p), p.ExpiresIn)
	}
	iat := w.clock.Now().Unix()
	want := regexp.MustCompile(`^` + regexp.QuoteMeta(fmt.Sprintf(
		`{"sub":%q,"iss":%q,"aud":"https://api.example","iat":%d,"exp":%d,"jti":`, u.ID, issuer, iat, iat+300)) + `"[0-9a-f-]{36}"` +
		regexp.QuoteMeta(fmt.Sprintf(`,"sid":"s-1","client_id":"app","scope":"openid email","auth_time":%d,"acr":"urn:pico-auth:acr:1","amr":["pwd"]}`, iat-60)) + `$`)
	if got := string(w.payload(t, p)); !want.MatchString(got) {
		t.Errorf("claims are %s", got)
	}
	if given.ClientID != "app" || given.Scope != g.Scope || !given.ExpiresAt.Equal(end) || !given.First.ExpiresAt.Equal(w.clock.Now().Add(time.Hour)) ||
		given.First.AccessJTI != w.claims(t, p)["jti"] {
		t.Errorf("stored: %+v", given)
	}
}

// Existing services decide by role and groups, so every token for their audience
// has them, whichever client requested it.
func TestATokenForTheAudienceOfTheIssuerCarriesTheProfile(t *testing.T) {
	w := open(t)
	u := w.viewer(t)
	var given *store.NewFamily
	g := token.Grant{ClientID: "app", Typ: jose.TypeAccessToken}
	p, err := w.Mint(t.Context(), g, of(store.Subject{User: u, Groups: []string{}}, &given))
	w.must(t, err)
	c := w.claims(t, p)
	if c["aud"] != audience || c["role"] != "viewer" || c["email"] != u.Email || c["org_id"] != "default" || c["groups"] == nil {
		t.Errorf("claims: %v", c)
	}
	if given != nil || p.RefreshToken != "" {
		t.Error("a grant without a refresh token has a family")
	}
	if _, there := c["sid"]; there {
		t.Error("a token without a session names one")
	}
}

func TestAClientThatActsForItselfIsTheSubject(t *testing.T) {
	w := open(t)
	var given *store.NewFamily
	p, err := w.Mint(t.Context(), token.Grant{ClientID: "robot", Typ: jose.TypeAccessToken}, of(store.Subject{}, &given))
	w.must(t, err)
	c := w.claims(t, p)
	if c["sub"] != "robot" || c["client_id"] != "robot" {
		t.Errorf("claims: %v", c)
	}
	for _, name := range []string{"email", "role", "org_id", "groups", "auth_time", "nonce", "scope"} {
		if _, there := c[name]; there {
			t.Errorf("it has %s", name)
		}
	}
}

func TestARefusedTransactionIsNotSigned(t *testing.T) {
	w := open(t)
	p, err := w.Mint(t.Context(), token.FirstParty(), func(context.Context, *store.NewFamily) (store.Subject, error) {
		return store.Subject{}, identity.ErrInvalidToken
	})
	wantFault(t, err, fault.Unauthenticated, "invalid_token")
	if p != (token.Pair{}) || w.Stats().Issued != 0 {
		t.Errorf("%d issued", w.Stats().Issued)
	}
}

func TestTheJSONLoginKeepsItsTokenType(t *testing.T) {
	w := open(t)
	first := w.issue(t, w.viewer(t))
	for _, p := range []token.Pair{first, w.rotate(t, first.RefreshToken)} {
		if typ(t, p) != "JWT" {
			t.Errorf("typ %s", typ(t, p))
		}
	}
}

// A refresh token of another client is refused by the refresh and the logout of the
// JSON API, which leave it unchanged.
func TestTheJSONAPIAcceptsOnlyRefreshTokensOfTheFirstParty(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		session := w.issue(t, u)
		proof := identity.NewProof(u, w.clock.Now(), identity.MethodPassword)
		g := token.Grant{ClientID: "app", Refresh: true, End: w.clock.Now().Add(24 * time.Hour)}
		foreign, err := w.Mint(t.Context(), g, func(ctx context.Context, first *store.NewFamily) (store.Subject, error) {
			return w.store.StartSession(ctx, w.act(), proof, *first)
		})
		w.must(t, err)
		w.refuses(t, foreign.RefreshToken)
		wantFault(t, w.EndByRefreshToken(t.Context(), web, foreign.RefreshToken), fault.Unauthenticated, "invalid_token")
		w.refuses(t, foreign.RefreshToken) // not as a reuse
		w.rotate(t, session.RefreshToken)
		if got := w.Stats(); got.Reused != 0 {
			t.Errorf("%d counted as reuse", got.Reused)
		}
		at, err := w.Locate("app", foreign.RefreshToken)
		w.must(t, err)
		_, err = w.store.RotateRefresh(t.Context(), web, at, store.NewRefresh{Hash: "next", ExpiresAt: g.End})
		w.must(t, err)
	})
}

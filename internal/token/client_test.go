package token_test

import (
	"errors"
	"maps"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/token"
)

// portal is a world with registered clients and browsers.
type portal struct {
	*world
	*testrig.Rig
}

func eachPortal(t *testing.T, test func(t *testing.T, p *portal), opts ...option) {
	t.Helper()
	opts = append([]option{func(_ *token.Config, k *keyring.Config) {
		k.Algorithm, k.Algorithms = jose.EdDSA, []jose.Algorithm{jose.MLDSA44}
	}}, opts...)
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) { test(t, &portal{newWorld(r), r}) }, rigged(opts)...)
}

const callback = "https://app.example/callback"

// client registers a client whose ID tokens are signed with a key that is made quickly.
func (p *portal) client(t testing.TB, more oauth.Settings) oauth.Client {
	t.Helper()
	s := oauth.Settings{
		"kind": "spa", "redirect_uris": []string{callback}, "first_party": true, "id_token_signed_response_alg": "EdDSA",
		"scopes": []string{"openid", "profile", "email", "groups", "roles", "org", "offline_access", "account"},
	}
	maps.Copy(s, more)
	c, _, err := p.Clients.Create(t.Context(), system, s)
	p.must(t, err)
	return c
}

// browser is a browser in which the user is signed in.
func (p *portal) browser(t testing.TB, u identity.User) authorize.Browser {
	t.Helper()
	cookie, s, err := p.Rig.Sessions.StartBrowser(t.Context(), web, identity.NewProof(u, p.clock.Now(), identity.MethodPassword), "", false)
	p.must(t, err)
	return authorize.Browser{SessionID: s.Session.ID, CookieHash: cookie.Hash()}
}

const (
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636 appendix B
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

// authorization signs the user in at the client and returns what the code stands for.
func (p *portal) authorization(t testing.TB, c oauth.Client, b authorize.Browser, scope string, more ...string) token.Authorization {
	t.Helper()
	params := url.Values{
		"client_id": {c.ID}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {scope}, "nonce": {"n-1"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(more); i += 2 {
		params.Add(more[i], more[i+1])
	}
	next, err := p.Authorize.Begin(t.Context(), web, params, b)
	p.must(t, err)
	if next.Response == nil || next.Response.Params.Get("code") == "" {
		t.Fatalf("no code: %+v", next)
	}
	of, err := p.Authorize.Redeem(t.Context(), web, authorize.Exchange{
		Code: next.Response.Params.Get("code"), Client: c, RedirectURI: callback, Verifier: verifier,
	})
	p.must(t, err)
	return token.Authorization{
		Granted: token.Granted{
			Scope: of.Scope, Audience: strings.Join(of.Resources, " "), Claims: of.Claims, AuthTime: of.AuthTime, AMR: of.AMR, ACR: of.ACR,
		},
		Nonce: of.Nonce, Commit: of.Commit,
	}
}

// grant is what the client gets of the user for the scope.
func (p *portal) grant(t testing.TB, c oauth.Client, b authorize.Browser, scope string, more ...string) token.Pair {
	t.Helper()
	pair, err := p.MintForClient(t.Context(), token.ClientRequest{Client: c}, p.authorization(t, c, b, scope, more...))
	p.must(t, err)
	return pair
}

func (p *portal) refresh(t testing.TB, r token.ClientRequest, refresh string) token.Pair {
	t.Helper()
	pair, err := p.RotateForClient(t.Context(), web, r, refresh)
	p.must(t, err)
	return pair
}

// refused checks that a refresh of the client is refused, and how.
func (p *portal) refused(t testing.TB, r token.ClientRequest, refresh string, code oauth.Code) {
	t.Helper()
	pair, err := p.RotateForClient(t.Context(), web, r, refresh)
	refusal, isOAuth := errors.AsType[*oauth.Error](err)
	switch {
	case pair != token.Pair{}:
		t.Error("a refused refresh returned tokens")
	case code == "" && fault.KindOf(err) != fault.Unauthenticated, code != "" && (!isOAuth || refusal.Code != code):
		t.Errorf("refused with %v, want %q", err, code)
	}
}

func (p *portal) read(t testing.TB, signed string) map[string]any {
	t.Helper()
	return decode(t, p.payload(t, token.Pair{AccessToken: signed}))
}

// RFC 6749 section 6: a refresh token is bound to its client. At another door it is not
// valid, is not marked used, and its family goes on.
func TestRFC6749Section6RefreshTokenIsBoundToItsClient(t *testing.T) {
	eachPortal(t, func(t *testing.T, p *portal) {
		c, other := p.client(t, nil), p.client(t, nil)
		u := p.viewer(t)
		mine := p.grant(t, c, p.browser(t, u), "openid")
		login := p.issue(t, u)
		for range 2 {
			p.refused(t, token.ClientRequest{Client: other}, mine.RefreshToken, "")
			p.refuses(t, mine.RefreshToken) // the refresh of the JSON API
			wantFault(t, p.EndByRefreshToken(t.Context(), web, mine.RefreshToken), fault.Unauthenticated, "invalid_token")
			p.refused(t, token.ClientRequest{Client: c}, login.RefreshToken, "")
		}
		p.refresh(t, token.ClientRequest{Client: c}, mine.RefreshToken)
		p.rotate(t, login.RefreshToken)
		if got := p.Stats(); got.Reused != 0 {
			t.Errorf("%d counted as reuse", got.Reused)
		}
	})
}

// RFC 6749 section 6: the scope may be narrower than what was granted, and never wider;
// the next refresh may have all of it again.
func TestRFC6749Section6ScopeNarrowsAndNeverWidens(t *testing.T) {
	eachPortal(t, func(t *testing.T, p *portal) {
		c := p.client(t, nil)
		pair := p.grant(t, c, p.browser(t, p.viewer(t)), "openid email")
		for _, wider := range []string{"openid email profile", "offline_access", "account", "unknown"} {
			p.refused(t, token.ClientRequest{Client: c, Scope: wider}, pair.RefreshToken, oauth.InvalidScope)
		}
		narrow := p.refresh(t, token.ClientRequest{Client: c, Scope: "email"}, pair.RefreshToken)
		if got := p.read(t, narrow.AccessToken); narrow.Scope != "email" || got["scope"] != "email" || narrow.IDToken != "" {
			t.Errorf("%v", got)
		}
		p.refused(t, token.ClientRequest{Client: c, Scope: "email profile"}, narrow.RefreshToken, oauth.InvalidScope)
		whole := p.refresh(t, token.ClientRequest{Client: c}, narrow.RefreshToken)
		if whole.Scope != "openid email" || whole.IDToken == "" {
			t.Errorf("%s", whole.Scope)
		}
		c.Scopes = []string{"openid"} // the administrator took the rest away
		less := p.refresh(t, token.ClientRequest{Client: c}, whole.RefreshToken)
		if got := p.read(t, less.AccessToken); got["scope"] != "openid" || got["email"] != nil {
			t.Errorf("%v", got)
		}
	})
}

// OpenID Connect Core 12.2: an ID token of a refresh is about the same user and the same
// authentication, and has no nonce, whatever happened to the session since.
func TestOIDCCoreSection122RefreshNeverTakesNewerValues(t *testing.T) {
	eachPortal(t, func(t *testing.T, p *portal) {
		c, u := p.client(t, nil), p.viewer(t)
		b := p.browser(t, u)
		first := p.grant(t, c, b, "openid offline_access")
		before := p.read(t, first.IDToken)
		p.clock.Advance(time.Hour)
		by := identity.Actor{Kind: identity.ActorUser, ID: u.ID, SessionID: b.SessionID}
		again := identity.NewProof(u, p.clock.Now(), "hwk", "user", "mfa")
		p.must(t, p.store.Reauthenticate(t.Context(), store.Act{Action: "test", By: by}, again))
		after := p.read(t, p.refresh(t, token.ClientRequest{Client: c}, first.RefreshToken).IDToken)
		for _, name := range []string{"iss", "sub", "aud", "azp", "auth_time", "acr", "sid"} {
			if before[name] != after[name] || after[name] == nil {
				t.Errorf("%s was %v and is %v", name, before[name], after[name])
			}
		}
		if before["nonce"] != "n-1" || after["nonce"] != nil || after["iat"] == before["iat"] || after["amr"].([]any)[0] != "pwd" {
			t.Errorf("%v then %v", before, after)
		}
	})
}

// A reuse ends the family, but within the client's grace it yields the same successor.
func TestReuseEndsTheFamilyOfAClientBeyondItsGrace(t *testing.T) {
	eachPortal(t, func(t *testing.T, p *portal) {
		c := p.client(t, nil) // 10 seconds, the default
		b := p.browser(t, p.viewer(t))
		request := token.ClientRequest{Client: c}
		first := p.grant(t, c, b, "openid")
		second := p.refresh(t, request, first.RefreshToken)
		p.clock.Advance(9 * time.Second)
		again := p.refresh(t, request, first.RefreshToken)
		if again.RefreshToken != second.RefreshToken || p.read(t, again.AccessToken)["jti"] != p.read(t, second.AccessToken)["jti"] || again.IDToken == "" {
			t.Error("the grace yields another successor")
		}
		p.refused(t, token.ClientRequest{Client: c, Scope: "openid email"}, first.RefreshToken, oauth.InvalidScope)
		p.clock.Advance(2 * time.Second)
		p.refused(t, request, first.RefreshToken, "")
		p.refused(t, request, second.RefreshToken, "")
		if got := p.Stats(); got.Reused != 1 {
			t.Errorf("%d counted as reuse", got.Reused)
		}
		without := p.client(t, oauth.Settings{"refresh_reuse_grace_seconds": 0})
		old := p.grant(t, without, b, "openid")
		next := p.refresh(t, token.ClientRequest{Client: without}, old.RefreshToken)
		p.refused(t, token.ClientRequest{Client: without}, old.RefreshToken, "")
		p.refused(t, token.ClientRequest{Client: without}, next.RefreshToken, "")
	})
}

func TestOfConcurrentRefreshesOfAClientOneSucceeds(t *testing.T) {
	eachPortal(t, func(t *testing.T, p *portal) {
		c := p.client(t, oauth.Settings{"refresh_reuse_grace_seconds": 0})
		pair := p.grant(t, c, p.browser(t, p.viewer(t)), "openid")
		var done atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := p.RotateForClient(t.Context(), web, token.ClientRequest{Client: c}, pair.RefreshToken); err == nil {
					done.Add(1)
				}
			})
		}
		all.Wait()
		if done.Load() != 1 {
			t.Errorf("%d succeeded", done.Load())
		}
	})
}

// Without offline_access the tokens end with the session; with it they stay until
// their own end: 30 days unused, 90 days at most.
func TestRefreshTokensEndWithTheSessionUnlessOfflineAccessWasGranted(t *testing.T) {
	eachPortal(t, func(t *testing.T, p *portal) {
		c, u := p.client(t, nil), p.viewer(t)
		request := token.ClientRequest{Client: c}
		b := p.browser(t, u)
		online, offline := p.grant(t, c, b, "openid"), p.grant(t, c, b, "openid offline_access")
		p.must(t, p.EndOne(t.Context(), identity.Actor{Kind: identity.ActorUser, ID: u.ID}, u.ID, b.SessionID))
		p.refused(t, request, online.RefreshToken, "")
		for range 4 { // 80 days
			p.clock.Advance(20 * 24 * time.Hour)
			offline = p.refresh(t, request, offline.RefreshToken)
		}
		p.clock.Advance(11 * 24 * time.Hour)
		p.refused(t, request, offline.RefreshToken, "")

		idle := p.grant(t, c, p.browser(t, u), "openid offline_access")
		p.clock.Advance(31 * 24 * time.Hour)
		p.refused(t, request, idle.RefreshToken, "")

		b = p.browser(t, u) // idle after 24 hours, which a refresh prolongs
		online = p.grant(t, c, b, "openid")
		for range 3 {
			p.clock.Advance(23 * time.Hour)
			online = p.refresh(t, request, online.RefreshToken)
		}
		p.clock.Advance(25 * time.Hour)
		p.refused(t, request, online.RefreshToken, "")
	})
}

// The question whether the user may have a token of the client is asked at each
// exchange and refresh, with the user, their groups and the client as they are then.
func TestEveryGrantAsksWhetherTheUserMayHaveAToken(t *testing.T) {
	eachPortal(t, func(t *testing.T, p *portal) {
		u := p.viewer(t)
		b := p.browser(t, u)
		group, err := p.Directory.CreateGroup(t.Context(), system, directory.NewGroup{Name: "staff"})
		p.must(t, err)
		for name, c := range map[string]struct {
			settings oauth.Settings // of the client, that admit the user
			then     oauth.Settings // that do not
		}{
			"roles":  {oauth.Settings{"allowed_roles": []string{"viewer"}}, oauth.Settings{"allowed_roles": []string{"operator"}}},
			"groups": {nil, oauth.Settings{"allowed_groups": []string{group.ID}}},
		} {
			client := p.client(t, c.settings)
			pair, code := p.grant(t, client, b, "openid offline_access"), p.authorization(t, client, b, "openid")
			changed, err := p.Clients.Update(t.Context(), system, client.ID, c.then)
			p.must(t, err)
			p.refused(t, token.ClientRequest{Client: changed}, pair.RefreshToken, "")
			_, err = p.MintForClient(t.Context(), token.ClientRequest{Client: changed}, code)
			if refusal, ok := errors.AsType[*oauth.Error](err); !ok || refusal.Code != oauth.InvalidGrant {
				t.Errorf("%s: the code is refused with %v", name, err)
			}
			if changed, err = p.Clients.Update(t.Context(), system, client.ID, oauth.Settings{"allowed_roles": []string{}, "allowed_groups": []string{}}); err != nil {
				t.Fatal(err)
			}
			p.refresh(t, token.ClientRequest{Client: changed}, pair.RefreshToken) // it was not marked used
		}
		c := p.client(t, nil)
		pair, code := p.grant(t, c, b, "openid offline_access"), p.authorization(t, c, b, "openid")
		_, err = p.Directory.SetStatus(t.Context(), system, u.ID, string(identity.Suspended), "")
		p.must(t, err)
		p.refused(t, token.ClientRequest{Client: c}, pair.RefreshToken, "")
		if _, err := p.MintForClient(t.Context(), token.ClientRequest{Client: c}, code); err == nil {
			t.Error("a suspended user got tokens for a code")
		}
	})
}

// A grant without a refresh token is stored too, so that its access token can be revoked.
func TestAGrantWithoutARefreshTokenIsStored(t *testing.T) {
	eachPortal(t, func(t *testing.T, p *portal) {
		u := p.viewer(t)
		c := p.client(t, oauth.Settings{"grant_types": []string{"authorization_code"}, "scopes": []string{"openid"}})
		b := p.browser(t, u)
		pair := p.grant(t, c, b, "openid")
		if pair.RefreshToken != "" {
			t.Error("the client lacks the grant type and got a refresh token")
		}
		jti := p.read(t, pair.AccessToken)["jti"]
		p.must(t, p.EndOne(t.Context(), identity.Actor{Kind: identity.ActorUser, ID: u.ID}, u.ID, b.SessionID))
		listed, err := p.RevokedJTIs(t.Context())
		p.must(t, err)
		if len(listed) != 1 || listed[0] != jti {
			t.Errorf("listed: %v, want %v", listed, jti)
		}
	})
}

// Whatever an access token comes from, it names the row by which its end is known.
func TestEachAccessTokenOfAClientEndsWithItsFamily(t *testing.T) {
	eachPortal(t, func(t *testing.T, p *portal) {
		u := p.viewer(t)
		plain, once := p.client(t, oauth.Settings{"refresh_reuse_grace_seconds": 10}), p.client(t, oauth.Settings{"grant_types": []string{oauth.GrantCode}})
		active := func(pair token.Pair) bool {
			t.Helper()
			a, err := p.Verify(t.Context(), pair.AccessToken)
			p.must(t, err)
			_, err = p.Holder(t.Context(), a)
			if err != nil {
				wantFault(t, err, fault.Unauthenticated, "invalid_token")
			}
			return err == nil
		}
		b := p.browser(t, u)
		for name, grant := range map[string]func(c oauth.Client, scope string) []token.Pair{
			"of a code": func(c oauth.Client, scope string) []token.Pair { return []token.Pair{p.grant(t, c, b, scope)} },
			"of a refresh": func(c oauth.Client, scope string) []token.Pair {
				first := p.grant(t, c, b, scope)
				return []token.Pair{first, p.refresh(t, token.ClientRequest{Client: c}, first.RefreshToken)}
			},
			"repeated": func(c oauth.Client, scope string) []token.Pair {
				first := p.grant(t, c, b, scope)
				second := p.refresh(t, token.ClientRequest{Client: c}, first.RefreshToken)
				p.clock.Advance(time.Second)
				return []token.Pair{first, second, p.refresh(t, token.ClientRequest{Client: c}, first.RefreshToken)}
			},
		} {
			for _, c := range []oauth.Client{plain, once} {
				if c.ID == once.ID && name != "of a code" {
					continue // it has no refresh tokens
				}
				for _, scope := range []string{"openid", "openid offline_access"} {
					other := p.grant(t, c, b, scope)
					pairs := grant(c, scope)
					for end := range pairs { // by each of the tokens
						if end > 0 {
							pairs = grant(c, scope)
						}
						for i, pair := range pairs {
							if !active(pair) {
								t.Errorf("%s, %s: token %d is not active", name, scope, i)
							}
						}
						p.must(t, p.RevokeOf(t.Context(), web, c.ID, pairs[end].AccessToken))
						for i, pair := range pairs {
							if active(pair) {
								t.Errorf("%s, %s: token %d is active after the end of its family by token %d", name, scope, i, end)
							}
						}
					}
					if !active(other) {
						t.Errorf("%s, %s: the token of another family ended", name, scope)
					}
				}
			}
		}
	})
}

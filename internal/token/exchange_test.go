package token_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/token"
)

// service creates a service token and returns it as an actor.
func (w *world) service(t testing.TB, n token.NewServiceToken) (identity.ServiceToken, identity.Actor, string) {
	t.Helper()
	st, secret, err := w.CreateServiceToken(t.Context(), system, n)
	w.must(t, err)
	return st, identity.Actor{Kind: identity.ActorServiceToken, ID: st.ID, RequestID: "req-3"}, secret
}

func TestAServiceTokenIsExchangedForAnAccessTokenOfFiveMinutes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		st, by, _ := w.service(t, token.NewServiceToken{Name: "billing", Role: "operator", OrgID: "acme"})
		for _, requested := range []string{"", audience} {
			p, err := w.Exchange(t.Context(), by, requested)
			w.must(t, err)
			c := w.claims(t, p)
			if c["sub"] != st.ID || c["client_id"] != st.ID || c["aud"] != audience || c["role"] != "operator" || c["org_id"] != "acme" || c["email"] != "" {
				t.Errorf("claims: %v", c)
			}
			if groups, ok := c["groups"].([]any); !ok || len(groups) != 0 {
				t.Errorf("groups: %v", c["groups"])
			}
			if typ(t, p) != "at+jwt" || p.RefreshToken != "" || p.ExpiresIn != 5*time.Minute || c["sid"] != nil {
				t.Errorf("typ %s, expires in %v, sid %v", typ(t, p), p.ExpiresIn, c["sid"])
			}
		}
		if n := strings.Count(w.log.String(), `"service_token.exchange"`); n != 2 || len(w.events(t, identity.ActionExchange)) != 0 {
			t.Errorf("%d exchanges are logged, %d stored", n, len(w.events(t, identity.ActionExchange)))
		}
		_, err := w.Exchange(t.Context(), by, "https://other.example")
		wantFault(t, err, fault.Invalid, "invalid_target")
	})
}

func TestAServiceTokenIsExchangedForItsAudiencesOnly(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const api, files = "https://api.example", "https://files.example"
		st, both, _ := w.service(t, token.NewServiceToken{Name: "both", Role: "operator", OrgID: "acme", Audiences: []string{api, audience, files}})
		_, only, _ := w.service(t, token.NewServiceToken{Name: "only", Role: "operator", OrgID: "acme", Audiences: []string{api, files}})
		_, plain, _ := w.service(t, token.NewServiceToken{Name: "plain"})
		for _, c := range []struct {
			by              identity.Actor
			requested, want string // empty: it is refused
		}{
			{both, "", audience},
			{both, api, api},
			{both, audience, audience},
			{both, "https://other.example", ""},
			{both, api + "/", ""},
			{only, "", api},
			{only, files, files},
			{only, audience, ""},
			{plain, api, ""},
			{plain, "\x00", ""},
		} {
			p, err := w.Exchange(t.Context(), c.by, c.requested)
			if c.want == "" {
				wantFault(t, err, fault.Invalid, "invalid_target")
				continue
			}
			w.must(t, err)
			claims := w.claims(t, p)
			if claims["aud"] != c.want || claims["role"] != "operator" || claims["org_id"] != "acme" || typ(t, p) != "at+jwt" {
				t.Errorf("%q requested %q: %v", c.by.ID, c.requested, claims)
			}
		}
		named := func(action identity.Action, outcome, detail string) {
			t.Helper()
			if !slices.ContainsFunc(w.events(t, action), func(ev store.Event) bool {
				return ev.Outcome == outcome && ev.TargetID == st.ID && ev.Detail == detail
			}) {
				t.Errorf("no event %s %s %q: %+v", action, outcome, detail, w.events(t, action))
			}
		}
		named(identity.ActionExchange, store.OutcomeRefused, "both for https://other.example")
		named(identity.ActionCreateServiceToken, store.OutcomeSuccess, "both for https://api.example, "+audience+", https://files.example")
		if !strings.Contains(w.log.String(), `"both for https://api.example"`) {
			t.Errorf("the log does not name the audience:\n%s", w.log.String())
		}
	})
}

func TestTheAudiencesOfAServiceTokenAreAbsoluteURIs(t *testing.T) {
	w := open(t)
	tooMany := slices.Repeat([]string{"https://a.example"}, 51)
	for _, audiences := range [][]string{{""}, {"billing"}, {identity.FirstPartyClient}, {"https://a.example/#x"}, {"https://a.example", "https://*.example"}, tooMany, {"https://a.example/" + strings.Repeat("a", 1990)}} {
		_, _, err := w.CreateServiceToken(t.Context(), system, token.NewServiceToken{Name: "x", Audiences: audiences})
		wantFault(t, err, fault.Invalid, "validation_failed")
	}
}

func TestAnExchangedTokenNeverOutlivesItsServiceTokenOrTheConfiguredLifetime(t *testing.T) {
	w := open(t)
	end := w.clock.Now().Add(90 * time.Second)
	_, by, _ := w.service(t, token.NewServiceToken{Name: "short", ExpiresAt: &end})
	p, err := w.Exchange(t.Context(), by, "")
	w.must(t, err)
	if exp := int64(w.claims(t, p)["exp"].(float64)); p.ExpiresIn != 90*time.Second || exp > end.Unix() {
		t.Errorf("expires in %v, at %d, after %d", p.ExpiresIn, exp, end.Unix())
	}
	w.clock.Advance(89*time.Second + 1)
	_, err = w.Exchange(t.Context(), by, "")
	wantFault(t, err, fault.Unauthenticated, "invalid_token")

	// The keys stay published for the configured lifetime only.
	w = open(t)
	w.config.AccessLifetime = 2 * time.Minute
	w.Issuer = token.New(w.config)
	_, by, _ = w.service(t, token.NewServiceToken{Name: "any"})
	p, err = w.Exchange(t.Context(), by, "")
	w.must(t, err)
	if p.ExpiresIn != 2*time.Minute {
		t.Errorf("expires in %v", p.ExpiresIn)
	}
}

func TestWhatStopsAServiceTokenStopsItsExchange(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		status := identity.Suspended
		for name, stop := range map[string]func(t *testing.T, st identity.ServiceToken){
			"revocation": func(t *testing.T, st identity.ServiceToken) {
				w.must(t, w.RevokeServiceToken(t.Context(), system, st.OrgID, st.Name))
			},
			"expiry": func(*testing.T, identity.ServiceToken) { w.clock.Advance(time.Hour) },
			"suspension of its organization": func(t *testing.T, st identity.ServiceToken) {
				_, err := w.store.UpdateOrganization(t.Context(), w.act(), st.OrgID, nil, &status)
				w.must(t, err)
			},
		} {
			t.Run(name, func(t *testing.T) {
				st, by, secret := w.service(t, token.NewServiceToken{Name: name, OrgID: name[:3], ExpiresAt: new(w.clock.Now().Add(time.Hour))})
				_, err := w.Exchange(t.Context(), by, "")
				w.must(t, err)
				stop(t, st)
				_, err = w.Exchange(t.Context(), by, "")
				wantFault(t, err, fault.Unauthenticated, "invalid_token")
				_, err = w.ValidateServiceToken(t.Context(), web, secret)
				wantFault(t, err, fault.Unauthenticated, "invalid_token")
			})
		}
		user := w.viewer(t)
		for _, by := range []identity.Actor{{}, system, web.AsUser(user.ID), {Kind: identity.ActorServiceToken, ID: "unknown"}} {
			_, err := w.Exchange(t.Context(), by, "")
			wantFault(t, err, fault.Unauthenticated, "invalid_token")
		}
	})
}

func TestTheLastUseIsStoredLaterAndOnceAMinute(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, _, secret := w.service(t, token.NewServiceToken{Name: "billing"})
		lastUsed := func() time.Time {
			page, err := w.ServiceTokens(t.Context(), system, token.Filter{})
			w.must(t, err)
			return page.Items[0].LastUsedAt
		}
		use := func() {
			_, err := w.ValidateServiceToken(t.Context(), web, secret)
			w.must(t, err)
		}
		_, err := w.ValidateServiceToken(t.Context(), web, secret+"0")
		wantFault(t, err, fault.Unauthenticated, "invalid_token")
		w.must(t, w.WriteUses(t.Context()))
		if !lastUsed().IsZero() {
			t.Error("a refused token counts as a use")
		}
		use()
		if !lastUsed().IsZero() {
			t.Error("a validation writes")
		}
		first := w.clock.Now().Truncate(time.Microsecond)
		w.must(t, w.WriteUses(t.Context()))
		if got := lastUsed(); !got.Equal(first) {
			t.Errorf("used at %v, want %v", got, first)
		}
		w.clock.Advance(59 * time.Second)
		use()
		w.must(t, w.WriteUses(t.Context()))
		if got := lastUsed(); !got.Equal(first) {
			t.Errorf("written again after 59 s: %v", got)
		}
		w.clock.Advance(time.Second)
		use()
		w.must(t, w.WriteUses(t.Context()))
		if got := lastUsed(); !got.Equal(first.Add(time.Minute)) {
			t.Errorf("used at %v a minute later", got)
		}
	})
}

package token_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	josev4 "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/token"
)

func withRS256(_ *token.Config, k *keyring.Config) { k.Algorithm = jose.RS256 }

func inFolder(dir string) option {
	return func(_ *token.Config, k *keyring.Config) { k.Dir = dir }
}

func faultIs(err error, kind fault.Kind, code string) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Kind == kind && f.Code == code
}

func decode(t testing.TB, payload []byte) map[string]any {
	t.Helper()
	var c map[string]any
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// payload verifies an access token with the published key set and returns the
// signed payload.
func (w *world) payload(t testing.TB, p token.Pair) []byte {
	t.Helper()
	body := w.keys.Published().JWKS()
	keys, err := jose.ParseJWKSet(body)
	if err != nil {
		t.Fatal(err)
	}
	payload, _, err := jose.Verify(p.AccessToken, func(h jose.Header) (*jose.PublicKey, error) {
		if keys[h.KeyID] == nil {
			return nil, errors.New("kid is not published")
		}
		return keys[h.KeyID], nil
	})
	if err != nil {
		t.Fatalf("access token: %v", err)
	}
	return payload
}

func TestAccessTokenVerifiesWithAnIndependentLibraryFromThePublishedKeys(t *testing.T) {
	w := open(t, withRS256)
	p := w.issue(t, w.viewer(t))

	jws, err := josev4.ParseSignedCompact(p.AccessToken, []josev4.SignatureAlgorithm{josev4.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var keys josev4.JSONWebKeySet
	body := w.keys.Published().JWKS()
	if err := json.Unmarshal(body, &keys); err != nil {
		t.Fatal(err)
	}
	header := jws.Signatures[0].Header
	key := keys.Key(header.KeyID)
	if len(key) != 1 {
		t.Fatalf("kid %q names %d published keys", header.KeyID, len(key))
	}
	payload, err := jws.Verify(key[0])
	if err != nil {
		t.Fatal(err)
	}
	if header.ExtraHeaders["typ"] != "JWT" {
		t.Errorf("typ is %v", header.ExtraHeaders["typ"])
	}
	if diff := cmp.Diff(string(w.payload(t, p)), string(payload)); diff != "" {
		t.Error(diff)
	}
}

func TestAccessTokenHasExactlyTheClaimsOfTheContractInOrder(t *testing.T) {
	w := open(t)
	u := w.viewer(t)
	got := string(w.payload(t, w.issue(t, u)))
	iat := epoch.Unix()
	want := regexp.MustCompile(`^` + regexp.QuoteMeta(fmt.Sprintf(
		`{"sub":%q,"email":"Ada@pico.example","role":"viewer","org_id":"default","groups":[],`+
			`"iss":%q,"aud":%q,"iat":%d,"exp":%d,"jti":`, u.ID, issuer, audience, iat, iat+900)) +
		`"[0-9a-f-]{36}","sid":"[0-9a-f-]{36}"}$`)
	if !want.MatchString(got) {
		t.Errorf("claims are %s", got)
	}
}

func TestIssuedIDsAreNewAndRandom(t *testing.T) {
	w := open(t)
	u := w.viewer(t)
	seen := map[any]bool{}
	for range 20 {
		p := w.issue(t, u)
		c := w.claims(t, p)
		if id, err := uuid.Parse(c["jti"].(string)); err != nil || id.Version() != 4 {
			t.Errorf("jti %v is no random UUID", c["jti"])
		}
		if id, err := uuid.Parse(c["sid"].(string)); err != nil || id.Version() != 7 {
			t.Errorf("sid %v is no UUID of version 7", c["sid"])
		}
		raw, err := base64.RawURLEncoding.DecodeString(p.RefreshToken)
		if err != nil || len(raw) != 18+32 {
			t.Errorf("a refresh token carries %d bytes, %v", len(raw), err)
		}
		next := w.rotate(t, p.RefreshToken).RefreshToken
		if next[:24] != p.RefreshToken[:24] {
			t.Error("a successor does not share the part of its family")
		}
		for _, v := range []any{c["jti"], c["sid"], p.RefreshToken[:24], p.RefreshToken[24:], next[24:]} {
			if seen[v] {
				t.Error("a value was issued again")
			}
			seen[v] = true
		}
	}
}

func TestExpiryIsTheLifetimeFromNowInWholeSeconds(t *testing.T) {
	w := open(t, func(c *token.Config, _ *keyring.Config) { c.AccessLifetime = 90 * time.Second })
	p := w.issue(t, w.viewer(t))
	c := w.claims(t, p)
	if c["exp"] != c["iat"].(float64)+90 || c["iat"] != float64(epoch.Unix()) || p.ExpiresIn != 90*time.Second {
		t.Errorf("iat %v, exp %v, expires in %v", c["iat"], c["exp"], p.ExpiresIn)
	}
}

func TestLoginIsRecordedOnceAndUpdatesLastLogin(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		w.clock.Advance(time.Hour)
		p := w.issue(t, u)
		after, err := w.store.UserByID(t.Context(), u.ID)
		w.must(t, err)
		if !after.LastLoginAt.Equal(w.clock.Now()) {
			t.Errorf("last login is %v, want %v", after.LastLoginAt, w.clock.Now())
		}
		events := w.events(t, identity.ActionLogin)
		if len(events) != 1 || events[0].ActorID != u.ID || events[0].Outcome != store.OutcomeSuccess || events[0].Address != web.Address {
			t.Errorf("audit rows: %+v", events)
		}
		if n := strings.Count(w.log.String(), `"msg":"login"`); n != 1 {
			t.Errorf("%d log records of one login", n)
		}
		for _, secret := range []string{p.RefreshToken, p.AccessToken, string(u.PasswordHash)} {
			if strings.Contains(w.log.String(), secret) {
				t.Error("the log holds a secret")
			}
		}
		if got := w.Stats(); got != (token.Stats{Issued: 1}) {
			t.Errorf("stats: %+v", got)
		}
	})
}

func TestIssueChecksAgainThatTheUserMaySignIn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		_, err := w.store.SetStatus(t.Context(), w.act(), u.ID, identity.Suspended)
		w.must(t, err)
		_, err = w.Issue(t.Context(), web, u)
		wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
		if got := w.Stats().Issued; got != 0 {
			t.Errorf("%d issued", got)
		}
	})
}

func TestIssueRefusesAPasswordThatWasChangedAfterItsProof(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		w.must(t, w.store.ResetPassword(t.Context(), w.act(), u.ID, "another hash"))
		_, err := w.Issue(t.Context(), web, u)
		wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
	})
}

func TestIssueWithoutAUserIsRefused(t *testing.T) {
	w := open(t)
	_, err := w.Issue(t.Context(), web, identity.User{})
	wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
}

func TestGroupsAppearInTheNextTokenByLoginAndByRefresh(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		first := w.issue(t, u)
		var ids []any
		for _, name := range []string{"blue", "amber"} {
			g, err := w.store.InsertGroup(t.Context(), w.act(), identity.Group{Name: name, OrgID: identity.DefaultOrg})
			w.must(t, err)
			w.must(t, w.store.AddMember(t.Context(), w.act(), g.ID, u.ID))
			ids = append(ids, g.ID)
		}
		sorted := cmp.Diff(ids, w.claims(t, w.issue(t, u))["groups"], cmp.Transformer("set", asSet))
		if sorted != "" {
			t.Errorf("groups after login (-want +got):\n%s", sorted)
		}
		second := w.rotate(t, first.RefreshToken)
		if diff := cmp.Diff(ids, w.claims(t, second)["groups"], cmp.Transformer("set", asSet)); diff != "" {
			t.Errorf("groups after refresh (-want +got):\n%s", diff)
		}
		w.must(t, w.store.RemoveMember(t.Context(), w.act(), ids[0].(string), u.ID))
		third := w.rotate(t, second.RefreshToken)
		if diff := cmp.Diff(ids[1:], w.claims(t, third)["groups"]); diff != "" {
			t.Errorf("groups after leaving one (-want +got):\n%s", diff)
		}
	})
}

func asSet(list []any) map[any]bool {
	set := map[any]bool{}
	for _, v := range list {
		set[v] = true
	}
	return set
}

func TestPairDoesNotPrint(t *testing.T) {
	p := token.Pair{AccessToken: "secret-access", RefreshToken: "secret-refresh"}
	var log testrig.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "pair", p)
	for _, text := range []string{
		fmt.Sprint(p), fmt.Sprintf("%+v", p), fmt.Sprintf("%#v", p), fmt.Sprintf("%q %s", p, &p), log.String(),
	} {
		if strings.Contains(text, "secret") {
			t.Errorf("printed: %s", text)
		}
	}
}

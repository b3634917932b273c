package picoauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/localkeys"
	"github.com/pico-auth/pico-auth/picoauth"
)

// noon is the clock of the claim tests.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// fixedGuard is a Guard with one local key, whose clock shows noon.
func fixedGuard(t testing.TB, leeway time.Duration) (*picoauth.Guard, *jose.PrivateKey) {
	t.Helper()
	key, err := jose.Generate(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	set := keySetOf(map[string]*jose.PrivateKey{"k": key})
	g, err := picoauth.New(picoauth.Config{
		Issuer: wireIssuer, Audience: wireAudience, Leeway: leeway,
		Client: localkeys.Client(func() []byte { return set }, nil), Now: func() time.Time { return noon },
	})
	if err != nil {
		t.Fatal(err)
	}
	return g, key
}

func atNoon(changes claims) claims {
	all := claims{"iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix()}
	maps.Copy(all, changes)
	return all
}

func TestVerifyReturnsTheUser(t *testing.T) {
	g, key := fixedGuard(t, 0)
	token := sign(t, key, "k", atNoon(claims{
		"sub": "u1", "email": "a@example.com", "role": "operator", "org_id": "acme",
		"groups": []string{"g1", "g2"}, "jti": "j1", "sid": "s1", "client_id": "c1", "aud": []string{"other", wireAudience},
		"exp": json.Number("1795350060.5"), "big": json.Number("9007199254740993"), "nested": claims{"a": []any{true, nil}},
	}))
	got, err := g.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := &picoauth.SecurityContext{
		Subject: "u1", Email: "a@example.com", Role: picoauth.Operator, OrgID: "acme",
		Groups: []string{"g1", "g2"}, Scopes: []string{}, TokenID: "j1", SessionID: "s1", ClientID: "c1",
		ExpiresAt: time.Unix(1795350060, 5e8).UTC(),
		Claims:    payloadOf(t, token),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// payloadOf returns the signed payload.
func payloadOf(t *testing.T, token string) []byte {
	t.Helper()
	_, payload, err := jose.Inspect(token)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestVerifyNeedsOnlyTheRequiredClaims(t *testing.T) {
	g, key := fixedGuard(t, 0)
	who, err := g.Verify(t.Context(), sign(t, key, "k", atNoon(nil)))
	if err != nil {
		t.Fatal(err)
	}
	if who.Groups == nil || len(who.Groups) != 0 || who.Role != 0 || who.Email != "" {
		t.Errorf("optional claims are not empty: %+v", who)
	}
}

func TestVerifyRefusesBadClaims(t *testing.T) {
	g, key := fixedGuard(t, 0)
	number := func(s string) json.Number { return json.Number(s) }
	for name, changes := range map[string]claims{
		"exp missing":             {"exp": nil},
		"iat missing":             {"iat": nil},
		"iss missing":             {"iss": nil},
		"aud missing":             {"aud": nil},
		"sub missing":             {"sub": nil},
		"sub empty":               {"sub": ""},
		"sub number":              {"sub": 1},
		"exp string":              {"exp": strconv.FormatInt(noon.Add(time.Minute).Unix(), 10)},
		"exp null":                {"exp": json.RawMessage("null")},
		"exp bool":                {"exp": true},
		"exp array":               {"exp": []int64{noon.Add(time.Minute).Unix()}},
		"exp negative":            {"exp": -1},
		"exp beyond float":        {"exp": number("1e999")},
		"exp beyond year 9999":    {"exp": number("253402300800")},
		"exp milliseconds":        {"exp": noon.Add(time.Minute).UnixMilli()},
		"exp now":                 {"exp": noon.Unix()},
		"exp just past":           {"exp": number("1795348799.999")},
		"exp zero":                {"exp": 0},
		"iat string":              {"iat": "1795348800"},
		"iat negative":            {"iat": -1},
		"iat huge":                {"iat": number("1e300")},
		"iat beyond the leeway":   {"iat": noon.Unix() + 31},
		"nbf beyond the leeway":   {"nbf": noon.Unix() + 31},
		"nbf string":              {"nbf": "0"},
		"nbf null":                {"nbf": json.RawMessage("null")},
		"iss other":               {"iss": "https://issuer.tes"},
		"iss trailing slash":      {"iss": wireIssuer + "/"},
		"iss other case":          {"iss": strings.ToUpper(wireIssuer)},
		"iss array":               {"iss": []string{wireIssuer}},
		"aud other":               {"aud": "other"},
		"aud prefix":              {"aud": wireAudience + "2"},
		"aud empty":               {"aud": ""},
		"aud number":              {"aud": 1},
		"aud object":              {"aud": claims{wireAudience: true}},
		"aud null":                {"aud": json.RawMessage("null")},
		"aud array of others":     {"aud": []string{"a", "b"}},
		"aud empty array":         {"aud": []string{}},
		"aud array with a number": {"aud": []any{wireAudience, 1}},
		"groups string":           {"groups": "admins"},
		"groups null":             {"groups": json.RawMessage("null")},
		"groups of numbers":       {"groups": []int{1}},
		"groups of arrays":        {"groups": []any{[]string{"g"}}},
		"role array":              {"role": []string{"viewer"}},
		"email object":            {"email": claims{}},
		"org_id number":           {"org_id": 1},
		"jti number":              {"jti": 1},
		"sid null":                {"sid": json.RawMessage("null")},
		"wrong case":              {"sub": nil, "Sub": "u1"},
		"nonce of an ID token":    {"nonce": "n"},
		"nonce null":              {"nonce": json.RawMessage("null")},
		"at_hash of an ID token":  {"at_hash": "x"},
		"c_hash of an ID token":   {"c_hash": 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := g.Verify(t.Context(), sign(t, key, "k", atNoon(changes)))
			if status, code := code(t, err); status != 401 || code != picoauth.CodeInvalidToken {
				t.Errorf("got %d %s, want 401 invalid_token", status, code)
			}
		})
	}
}

func TestVerifyRefusesAmbiguousPayloads(t *testing.T) {
	g, key := fixedGuard(t, 0)
	good := `"iss":"` + wireIssuer + `","aud":"` + wireAudience + `","iat":1795348800,"exp":1795348860`
	for name, payload := range map[string]string{
		"duplicate claim":          `{` + good + `,"sub":"a","sub":"b"}`,
		"duplicate claim, escaped": `{` + good + `,"sub":"a","\u0073ub":"b"}`,
		"duplicate claim, nested":  `{` + good + `,"sub":"a","x":{"y":1,"y":2}}`,
		"invalid UTF-8":            `{` + good + `,"sub":"a` + "\xff" + `"}`,
		"lone surrogate":           `{` + good + `,"sub":"a\ud800"}`,
		"data after the object":    `{` + good + `,"sub":"a"} {}`,
		"array":                    `[{` + good + `,"sub":"a"}]`,
		"string":                   `"` + `sub` + `"`,
		"null":                     `null`,
		"empty":                    ``,
		"cut":                      `{` + good + `,"sub":"a"`,
		"NaN":                      `{"exp":NaN,"sub":"a"}`,
		"too deep":                 `{` + good + `,"sub":"a","x":` + strings.Repeat("[", 30) + strings.Repeat("]", 30) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := g.Verify(t.Context(), signRaw(t, key, "k", []byte(payload)))
			if status, code := code(t, err); status != 401 || code != picoauth.CodeInvalidToken {
				t.Errorf("got %d %s, want 401 invalid_token", status, code)
			}
		})
	}
	if _, err := g.Verify(t.Context(), signRaw(t, key, "k", []byte(`{`+good+`,"sub":"a"}`))); err != nil {
		t.Errorf("the valid payload is refused: %v", err)
	}
}

func TestRefusalsNameTheReason(t *testing.T) {
	g, key := fixedGuard(t, 0)
	for want, changes := range map[string]claims{
		"the token's claim aud is missing":                       {"aud": nil},
		"the token's claim aud is neither a string nor an array": {"aud": 1},
		"the token's claim sub is missing":                       {"sub": nil},
		"the token's claim exp is missing":                       {"exp": nil, "iat": nil}, // the first fault counts
		"the token's claim groups is not an array of strings":    {"groups": []int{1}},
		"the token is of another issuer":                         {"iss": "x", "aud": "x"},
		"the token is for another audience":                      {"aud": "x"},
		"the token has expired":                                  {"exp": 1},
		"the token is an ID token, not an access token":          {"at_hash": "x", "aud": "some-client"},
		"the token is not valid yet":                             {"nbf": noon.Unix() + 60},
	} {
		_, err := g.Verify(t.Context(), sign(t, key, "k", atNoon(changes)))
		var refusal *picoauth.Refusal
		if !errors.As(err, &refusal) || refusal.Detail != want {
			t.Errorf("%v: %v, want %q", changes, err, want)
		}
	}
}

func TestLeewayLimitsBothEnds(t *testing.T) {
	for name, c := range map[string]struct {
		leeway  time.Duration
		changes claims
		ok      bool
	}{
		"none given, local: expired now":       {0, claims{"exp": noon.Unix()}, false},
		"none given, local: issued 30 s ahead": {0, claims{"iat": noon.Unix() + 30}, true},
		"10 s: expired 9 s ago":                {10 * time.Second, claims{"exp": noon.Unix() - 9}, true},
		"10 s: expired 10 s ago":               {10 * time.Second, claims{"exp": noon.Unix() - 10}, false},
		"10 s: issued 10 s ahead":              {10 * time.Second, claims{"iat": noon.Unix() + 10}, true},
		"10 s: issued 11 s ahead":              {10 * time.Second, claims{"iat": noon.Unix() + 11}, false},
		"10 s: not before 11 s ahead":          {10 * time.Second, claims{"nbf": noon.Unix() + 11}, false},
		"negative: issued 1 s ahead":           {-1, claims{"iat": noon.Unix() + 1}, false},
		"negative: issued now":                 {-1, claims{"iat": noon.Unix()}, true},
		"iat ahead, whatever nbf says":         {-1, claims{"iat": noon.Unix() + 1, "nbf": 0}, false},
	} {
		t.Run(name, func(t *testing.T) {
			g, key := fixedGuard(t, c.leeway)
			_, err := g.Verify(t.Context(), sign(t, key, "k", atNoon(c.changes)))
			if (err == nil) != c.ok {
				t.Errorf("err = %v, want ok = %v", err, c.ok)
			}
		})
	}
}

// FuzzClaims signs random payloads: nothing may panic, and an accepted payload must
// be read as a plain decoder reads it.
func FuzzClaims(f *testing.F) {
	g, key := fixedGuard(f, 0)
	f.Add([]byte(`{"iss":"` + wireIssuer + `","aud":"` + wireAudience + `","sub":"a","iat":1795348800,"exp":1795348860}`))
	f.Add([]byte(`{"iss":"` + wireIssuer + `","aud":["` + wireAudience + `"],"sub":"a","iat":1795348800.25,"exp":17953488e2,"groups":["a"]}`))
	f.Add([]byte(`{"exp":1e400,"sub":"\ud83d\ude00","groups":null}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) > 8<<10 {
			t.Skip()
		}
		who, err := g.Verify(context.Background(), signRaw(t, key, "k", payload))
		if err != nil {
			var refusal *picoauth.Refusal
			if !errors.As(err, &refusal) || refusal.Status != 401 {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		var plain struct {
			Sub, Iss string
			Exp, Iat float64
		}
		if err := json.Unmarshal(payload, &plain); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		now := float64(noon.Unix())
		exact, err := jose.ParseObject(who.Claims)
		if err != nil || exact["iss"] != wireIssuer || who.Subject == "" || who.Groups == nil {
			t.Fatalf("accepted %q", payload)
		}
		if exp, _ := exact["exp"].(json.Number).Float64(); exp <= now {
			t.Fatalf("accepted expired %q", payload)
		}
		if err := who.Decode(&plain); err == nil && (plain.Sub != who.Subject || plain.Iss != wireIssuer) {
			t.Fatalf("decoded as another user: %q", payload)
		}
	})
}

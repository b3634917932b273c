package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

const (
	issuer    = "https://auth.example"
	callback  = "https://app.example/callback"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636 appendix B
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

func webClient() oauth.Client {
	return oauth.Client{
		ID: "app", Kind: oauth.KindWeb, AuthMethod: oauth.AuthSecretBasic, RequirePKCE: true,
		RedirectURIs: []string{callback},
		GrantTypes:   []string{oauth.GrantCode, oauth.GrantRefresh},
		Scopes:       []string{"openid", "profile", "email", "offline_access", "api:read"},
		Audiences:    []string{"https://api.example"},
	}
}

func params(more ...string) url.Values {
	p := url.Values{
		"client_id": {"app"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(more); i += 2 {
		if more[i+1] == "" {
			p.Del(more[i])
		} else {
			p.Set(more[i], more[i+1])
		}
	}
	return p
}

// parse parses the request as the authorization endpoint does; the destination is proved.
func parse(t *testing.T, c oauth.Client, p url.Values) (oauth.AuthorizationRequest, error) {
	t.Helper()
	d, err := oauth.DestinationOf(p, c)
	if err != nil {
		t.Fatalf("no destination: %v", err)
	}
	return oauth.ParseAuthorization(p, c, d, issuer)
}

func accepted(t *testing.T, c oauth.Client, p url.Values) oauth.AuthorizationRequest {
	t.Helper()
	r, err := parse(t, c, p)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return r
}

func refused(t *testing.T, err error, code oauth.Code) {
	t.Helper()
	e, ok := errors.AsType[*oauth.Error](err)
	if !ok || e.Code != code {
		t.Errorf("error is %v, want %s", err, code)
	}
	if ok && strings.ContainsAny(e.Description, `"\`) {
		t.Errorf("the description %s has characters that RFC 6749 section 5.2 forbids", e.Description)
	}
}

// RFC 6749 section 3.1: unrecognized parameters are ignored.
func TestRFC6749Section3_1UnknownParametersAreIgnored(t *testing.T) {
	p := params()
	p["extra"] = []string{"foobar", "twice"}
	accepted(t, webClient(), p)
}

// RFC 6749 section 3.1: a parameter without a value counts as omitted.
func TestRFC6749Section3_1AnEmptyParameterIsOmitted(t *testing.T) {
	p := params()
	for _, name := range []string{"nonce", "prompt", "max_age", "claims", "request", "request_uri", "response_mode", "resource"} {
		p.Set(name, "")
	}
	accepted(t, webClient(), p)
	p.Set("response_type", "")
	_, err := parse(t, webClient(), p)
	refused(t, err, oauth.InvalidRequest)
}

// RFC 6749 section 3.1: parameters are not included more than once; RFC 8707 section 2
// excepts resource.
func TestRFC6749Section3_1ARepeatedParameterIsRefused(t *testing.T) {
	for _, name := range []string{
		"response_type", "response_mode", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "prompt", "max_age",
		"login_hint", "id_token_hint", "acr_values", "ui_locales", "claims_locales", "display", "claims", "request", "request_uri",
	} {
		p := params(name, "x")
		p.Add(name, "x")
		_, err := parse(t, webClient(), p)
		refused(t, err, oauth.InvalidRequest)
	}
	p := params("resource", "https://api.example")
	p.Add("resource", "https://api.example")
	if r := accepted(t, webClient(), p); len(r.Resources) != 1 {
		t.Errorf("resources are %q", r.Resources)
	}
}

// RFC 6749 section 4.1.2.1: the user is not redirected to a redirect URI that is not
// proved.
func TestRFC6749Section4_1_2_1AnUnprovedRedirectURIIsNotADestination(t *testing.T) {
	for name, uri := range map[string]string{
		"another path":    callback + "/x",
		"another query":   callback + "?foo=bar",
		"another host":    "https://evil.example/callback",
		"a prefix":        "https://app.example/",
		"a fragment":      callback + "#x",
		"user info":       "https://app.example@evil.example/callback",
		"another case":    "https://APP.example/callback",
		"a trailing dot":  "https://app.example./callback",
		"dot segments":    "https://app.example/x/../callback",
		"encoded":         "https://app.example/%63allback",
		"a backslash":     `https://app.example\callback`,
		"not valid UTF-8": callback + "\xff",
	} {
		_, err := oauth.DestinationOf(params("redirect_uri", uri), webClient())
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		refused(t, err, oauth.InvalidRequest)
	}
	p := params()
	p.Add("redirect_uri", "https://evil.example")
	_, err := oauth.DestinationOf(p, webClient())
	refused(t, err, oauth.InvalidRequest)
}

// RFC 6749 section 3.1.2.3: with several redirect URIs the request names one; and
// OpenID Connect Core 3.1.2.1 always requires it.
func TestRFC6749Section3_1_2_3RedirectURIIsImpliedOnlyWhenThereIsOne(t *testing.T) {
	c := webClient()
	_, err := oauth.DestinationOf(params("redirect_uri", ""), c)
	refused(t, err, oauth.InvalidRequest)
	d, err := oauth.DestinationOf(params("redirect_uri", "", "scope", "api:read"), c)
	if err != nil || d.RedirectURI != callback || !d.Implied {
		t.Errorf("%+v, %v", d, err)
	}
	c.RedirectURIs = append(c.RedirectURIs, "https://app.example/other")
	_, err = oauth.DestinationOf(params("redirect_uri", "", "scope", "api:read"), c)
	refused(t, err, oauth.InvalidRequest)
}

// RFC 6749 section 4.1.1: client_id is required, once.
func TestRFC6749Section4_1_1ClientIDIsRequired(t *testing.T) {
	_, err := oauth.ClientOf(params("client_id", ""))
	refused(t, err, oauth.InvalidRequest)
	p := params()
	p.Add("client_id", "other")
	_, err = oauth.ClientOf(p)
	refused(t, err, oauth.InvalidRequest)
}

// RFC 6749 section 4.1.2.1: unsupported_response_type and unauthorized_client.
func TestRFC6749Section4_1_2_1OnlyTheResponseTypeCode(t *testing.T) {
	for _, kind := range []string{"token", "id_token", "code id_token", "none", "CODE", "code "} {
		_, err := parse(t, webClient(), params("response_type", kind))
		refused(t, err, oauth.UnsupportedResponseType)
	}
	c := webClient()
	c.GrantTypes = []string{oauth.GrantDevice}
	_, err := parse(t, c, params())
	refused(t, err, oauth.UnauthorizedClient)
}

// OAuth 2.0 Multiple Response Types section 2.1, OAuth 2.0 Form Post.
func TestMultipleResponseTypesSection2_1ResponseModes(t *testing.T) {
	for given, want := range map[string]oauth.ResponseMode{
		"": oauth.ModeQuery, "query": oauth.ModeQuery, "fragment": oauth.ModeFragment, "form_post": oauth.ModeFormPost,
	} {
		if r := accepted(t, webClient(), params("response_mode", given)); r.ResponseMode != want {
			t.Errorf("%q: %s", given, r.ResponseMode)
		}
	}
	_, err := parse(t, webClient(), params("response_mode", "query.jwt"))
	refused(t, err, oauth.InvalidRequest)

	d, err := oauth.DestinationOf(params("response_type", "id_token token"), webClient())
	if err != nil || d.ResponseMode != oauth.ModeFragment {
		t.Errorf("the error of an implicit response type goes by %s, %v", d.ResponseMode, err)
	}
}

// OpenID Connect Core 6.1: the refusal of a request object goes where the object asks for it.
func TestOpenIDConnectCore6_1ResponseModeOfARefusedRequestObject(t *testing.T) {
	object := func(payload string) string {
		return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "."
	}
	for given, want := range map[string]oauth.ResponseMode{
		object(`{"response_mode":"form_post"}`): oauth.ModeFormPost, object(`{"response_mode":"web_message"}`): oauth.ModeQuery,
		object(`{"response_mode":1}`): oauth.ModeQuery, object(`{}`): oauth.ModeQuery, "a.b": oauth.ModeQuery, "a.&.c": oauth.ModeQuery,
	} {
		d, err := oauth.DestinationOf(params("request", given), webClient())
		if err != nil || d.ResponseMode != want {
			t.Errorf("%s: %s, %v", given, d.ResponseMode, err)
		}
		_, err = parse(t, webClient(), params("request", given))
		refused(t, err, oauth.RequestNotSupported)
	}
	d, err := oauth.DestinationOf(params("response_mode", "fragment", "request", object(`{"response_mode":"form_post"}`)), webClient())
	if err != nil || d.ResponseMode != oauth.ModeFragment {
		t.Errorf("beside response_mode: %s, %v", d.ResponseMode, err)
	}
}

// RFC 7636 section 4.4.1 and RFC 9700 section 2.1.1: a client that must use PKCE is
// refused without a challenge.
func TestRFC7636Section4_4_1ChallengeIsRequired(t *testing.T) {
	without := params("code_challenge", "", "code_challenge_method", "")
	_, err := parse(t, webClient(), without)
	refused(t, err, oauth.InvalidRequest)
	c := webClient()
	c.RequirePKCE = false
	if r := accepted(t, c, without); r.CodeChallenge != "" {
		t.Errorf("challenge is %s", r.CodeChallenge)
	}
	c.AuthMethod = oauth.AuthNone
	_, err = parse(t, c, without)
	refused(t, err, oauth.InvalidRequest)
}

// RFC 7636 section 4.3: without a method it is plain, which is refused.
func TestRFC7636Section4_3OnlyS256(t *testing.T) {
	for _, method := range []string{"", "plain", "s256", "S512"} {
		_, err := parse(t, webClient(), params("code_challenge_method", method))
		refused(t, err, oauth.InvalidRequest)
	}
	c := webClient()
	c.RequirePKCE = false
	_, err := parse(t, c, params("code_challenge", ""))
	refused(t, err, oauth.InvalidRequest)
}

// RFC 7636 section 4.2: the base64url of a SHA-256.
func TestRFC7636Section4_2FormOfTheChallenge(t *testing.T) {
	for _, bad := range []string{"x", challenge + "=", challenge + "A", challenge[:42], strings.Repeat("+", 43), challenge[:42] + "N"} {
		_, err := parse(t, webClient(), params("code_challenge", bad))
		refused(t, err, oauth.InvalidRequest)
	}
}

// RFC 7636 section 4.6.
func TestRFC7636Section4_6VerifierMatchesTheChallenge(t *testing.T) {
	if err := oauth.CheckVerifier(challenge, verifier); err != nil {
		t.Errorf("the example of appendix B: %v", err)
	}
	refused(t, oauth.CheckVerifier(challenge, ""), oauth.InvalidGrant)
	refused(t, oauth.CheckVerifier(challenge, challenge), oauth.InvalidGrant)
	refused(t, oauth.CheckVerifier(challenge, verifier[:42]), oauth.InvalidGrant)
	refused(t, oauth.CheckVerifier(challenge, strings.Repeat("a", 129)), oauth.InvalidGrant)
	refused(t, oauth.CheckVerifier(challenge, verifier[:42]+" "), oauth.InvalidGrant)
}

// RFC 9700 section 2.1.1: a verifier without a challenge is refused, since an attacker
// may have removed the challenge.
func TestRFC9700Section2_1_1AVerifierNeedsAnEarlierChallenge(t *testing.T) {
	refused(t, oauth.CheckVerifier("", verifier), oauth.InvalidGrant)
	if err := oauth.CheckVerifier("", ""); err != nil {
		t.Error(err)
	}
}

// RFC 6749 section 3.3 and OpenID Connect Core 3.1.2.1.
func TestRFC6749Section3_3Scope(t *testing.T) {
	r := accepted(t, webClient(), params("scope", "email openid unknown  openid api:read"))
	if r.Scope != "email openid api:read" {
		t.Errorf("scope is %q", r.Scope)
	}
	for _, bad := range []string{"", "unknown", "openid groups"} {
		_, err := parse(t, webClient(), params("scope", bad))
		refused(t, err, oauth.InvalidScope)
	}
}

// OpenID Connect Core 11: offline_access is ignored when no refresh token can be issued.
func TestCoreSection11OfflineAccessNeedsRefreshTokens(t *testing.T) {
	if r := accepted(t, webClient(), params("scope", "openid offline_access")); r.Scope != "openid offline_access" {
		t.Errorf("scope is %q", r.Scope)
	}
	c := webClient()
	c.GrantTypes = []string{oauth.GrantCode}
	if r := accepted(t, c, params("scope", "openid offline_access")); r.Scope != "openid" {
		t.Errorf("scope is %q", r.Scope)
	}
}

// RFC 8707 section 2: invalid_target for a resource that the client has not.
func TestRFC8707Section2Resource(t *testing.T) {
	for _, bad := range []string{"https://other.example", "https://api.example#x", "api", issuer} {
		_, err := parse(t, webClient(), params("resource", bad))
		refused(t, err, oauth.InvalidTarget)
	}
	c := webClient()
	c.Audiences = nil
	accepted(t, c, params("resource", issuer))
}

func TestTheScopesOfThisServersAPIGoWithNoOtherResource(t *testing.T) {
	c := webClient()
	c.Scopes = append(c.Scopes, "account", "admin")
	accepted(t, c, params("scope", "openid account", "resource", issuer))
	for _, scope := range []string{"account", "admin"} {
		_, err := parse(t, c, params("scope", "openid "+scope, "resource", "https://api.example"))
		refused(t, err, oauth.InvalidTarget)
	}
}

// OpenID Connect Core 3.1.2.1: none with another value is an error.
func TestCoreSection3_1_2_1Prompt(t *testing.T) {
	r := accepted(t, webClient(), params("prompt", "login consent"))
	if !r.Prompts(oauth.PromptLogin) || !r.Prompts(oauth.PromptConsent) || r.Prompts(oauth.PromptNone) {
		t.Errorf("prompt is %q", r.Prompt)
	}
	for _, bad := range []string{"none login", "login none", "other", "None"} {
		_, err := parse(t, webClient(), params("prompt", bad))
		refused(t, err, oauth.InvalidRequest)
	}
}

func TestCoreSection3_1_2_1MaxAge(t *testing.T) {
	if r := accepted(t, webClient(), params("max_age", "0")); r.MaxAge == nil || *r.MaxAge != 0 {
		t.Errorf("max_age is %v", r.MaxAge)
	}
	if r := accepted(t, webClient(), params()); r.MaxAge != nil {
		t.Errorf("max_age is %d", *r.MaxAge)
	}
	for _, bad := range []string{"-1", "x", "1.5", "99999999999999999999"} {
		_, err := parse(t, webClient(), params("max_age", bad))
		refused(t, err, oauth.InvalidRequest)
	}
}

// OpenID Connect Core 3.1.2.1: display, locales and acr_values are wishes and never an
// error.
func TestCoreSection3_1_2_1WishesAreNeverAnError(t *testing.T) {
	r := accepted(t, webClient(), params("display", "hologram", "ui_locales", "xx-YY es", "claims_locales", "tlh",
		"acr_values", "urn:unknown phr", "login_hint", "ada@pico.example"))
	if !slices.Equal(r.UILocales, []string{"xx-YY", "es"}) || !slices.Equal(r.ACRValues, []string{"urn:unknown", "phr"}) || r.LoginHint != "ada@pico.example" {
		t.Errorf("%+v", r)
	}
}

// OpenID Connect Core 3.1.2.6 and 6.
func TestCoreSection3_1_2_6RequestObjectsAreNotSupported(t *testing.T) {
	for name, code := range map[string]oauth.Code{
		"request": oauth.RequestNotSupported, "request_uri": oauth.RequestURINotSupported, "registration": oauth.RegistrationNotSupported,
	} {
		_, err := parse(t, webClient(), params(name, "x"))
		refused(t, err, code)
	}
}

// OpenID Connect Core 5.5: the parameter claims.
func TestCoreSection5_5ClaimsParameter(t *testing.T) {
	r := accepted(t, webClient(), params("claims", `{"userinfo": {"name": {"essential": true}, "email": null, "x": {"new": 1}},
		"id_token": {"acr": {"essential": true, "values": ["a", "b", 1]}, "sub": {"value": "u1"}}, "other": 1}`))
	if name := r.Claims.UserInfo["name"]; !name.Essential {
		t.Errorf("name is %+v", name)
	}
	if _, there := r.Claims.UserInfo["email"]; !there {
		t.Error("email is not requested")
	}
	if got := r.EssentialACR(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("essential acr: %q", got)
	}
	if got := r.Subjects(); !slices.Equal(got, []string{"u1"}) {
		t.Errorf("subjects: %q", got)
	}
	for _, bad := range []string{"x", "[]", `{"userinfo": 1}`, `{"id_token": {"acr": 1}}`, "{} {}", "{}x", "null", " {}"} {
		_, err := parse(t, webClient(), params("claims", bad))
		refused(t, err, oauth.InvalidRequest)
	}
}

func TestCoreSection5_5_1_1AVoluntaryACRIsNotEssential(t *testing.T) {
	for _, claims := range []string{`{"id_token": {"acr": {"values": ["a"]}}}`, `{"id_token": {"acr": null}}`, `{"userinfo": {"acr": {"essential": true, "value": "a"}}}`} {
		if got := accepted(t, webClient(), params("claims", claims)).EssentialACR(); got != nil {
			t.Errorf("%s: %q", claims, got)
		}
	}
}

// A request for a user by a value that no user has allows no user, not any.
func TestCoreSection5_5_1AValueOfAnotherTypeMatchesNone(t *testing.T) {
	r := accepted(t, webClient(), params("claims", `{"id_token": {"sub": {"value": 7}}}`))
	if got := r.Subjects(); got == nil || len(got) != 0 {
		t.Errorf("subjects: %#v", got)
	}
}

// OpenID Connect Core: state of 10 KB and nonce of 1 KB survive.
func TestLongStateAndNonceSurvive(t *testing.T) {
	state, nonce := strings.Repeat("s&=#é", 2000), strings.Repeat("n", 1024)
	r := accepted(t, webClient(), params("state", state, "nonce", nonce))
	var stored oauth.AuthorizationRequest
	if err := json.Unmarshal([]byte(r.Encode()), &stored); err != nil || stored.State != state || stored.Nonce != nonce {
		t.Fatalf("stored otherwise: %v", err)
	}
	u, err := url.Parse(stored.Granted(issuer, "c").Location())
	if err != nil || u.Query().Get("state") != state {
		t.Errorf("the response has another state: %v", err)
	}
}

// RFC 6749 section 4.1.2, RFC 9207 section 2.
func TestRFC9207Section2EveryResponseNamesTheIssuer(t *testing.T) {
	d := accepted(t, webClient(), params()).Destination
	granted, denied := d.Granted(issuer, "abc"), d.Refused(issuer, oauth.Refuse(oauth.AccessDenied, "no"))
	if want := (url.Values{"code": {"abc"}, "iss": {issuer}, "state": {"s"}}); granted.Params.Encode() != want.Encode() {
		t.Errorf("granted: %v", granted.Params)
	}
	want := url.Values{"error": {"access_denied"}, "error_description": {"no"}, "iss": {issuer}, "state": {"s"}}
	if denied.Params.Encode() != want.Encode() {
		t.Errorf("refused: %v", denied.Params)
	}
	d.State = ""
	if d.Granted(issuer, "abc").Params.Has("state") {
		t.Error("a response to a request without state has one")
	}
}

// RFC 6749 section 3.1.2: the query of the redirect URI is retained.
func TestRFC6749Section3_1_2TheQueryIsRetained(t *testing.T) {
	for uri, want := range map[string]string{
		"https://a.example/cb":       "https://a.example/cb?code=c&iss=https%3A%2F%2Fauth.example",
		"https://a.example/cb?x=1":   "https://a.example/cb?x=1&code=c&iss=https%3A%2F%2Fauth.example",
		"https://a.example/cb?":      "https://a.example/cb?code=c&iss=https%3A%2F%2Fauth.example",
		"com.example.app:/cb":        "com.example.app:/cb?code=c&iss=https%3A%2F%2Fauth.example",
		"http://127.0.0.1:5000/cb?y": "http://127.0.0.1:5000/cb?y&code=c&iss=https%3A%2F%2Fauth.example",
	} {
		d := oauth.Destination{RedirectURI: uri, ResponseMode: oauth.ModeQuery}
		if got := d.Granted(issuer, "c").Location(); got != want {
			t.Errorf("%s: %s", uri, got)
		}
	}
	d := oauth.Destination{RedirectURI: "https://a.example/cb?x=1", ResponseMode: oauth.ModeFragment}
	if got := d.Granted(issuer, "c").Location(); got != "https://a.example/cb?x=1#code=c&iss=https%3A%2F%2Fauth.example" {
		t.Errorf("by fragment: %s", got)
	}
}

// What is not valid must neither end the process, nor go to a redirect URI that is not
// the client's, nor be stored.
func FuzzAuthorizationRequest(f *testing.F) {
	f.Add(params().Encode())
	f.Add(params("prompt", "none", "max_age", "1", "claims", `{"id_token":{"acr":{"essential":true,"values":["a"]}}}`).Encode())
	f.Add(params("resource", "https://api.example", "response_mode", "form_post", "scope", "openid offline_access x").Encode())
	f.Add("client_id=app&redirect_uri=%ff&claims=%7b")
	f.Fuzz(func(t *testing.T, query string) {
		p, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		c := webClient()
		d, err := oauth.DestinationOf(p, c)
		if err != nil {
			return
		}
		if !slices.Contains(c.RedirectURIs, d.RedirectURI) {
			t.Fatalf("the response goes to %s", d.RedirectURI)
		}
		r, err := oauth.ParseAuthorization(p, c, d, issuer)
		if err != nil {
			if e, ok := errors.AsType[*oauth.Error](err); !ok || e.Code == "" {
				t.Fatalf("an error that the client cannot get: %v", err)
			}
			return
		}
		if r.CodeChallenge == "" || len(oauth.MissingScopes(r.Scope, strings.Join(c.Scopes, " "))) > 0 {
			t.Fatalf("accepted %+v", r)
		}
		var stored oauth.AuthorizationRequest
		if err := json.Unmarshal([]byte(r.Encode()), &stored); err != nil {
			t.Fatalf("cannot be read again: %v", err)
		}
		if again := stored.Encode(); again != r.Encode() {
			t.Fatalf("stored %s, read %s", r.Encode(), again)
		}
		if u, err := url.Parse(stored.Granted(issuer, "c").Location()); err != nil || u.Query().Get("code") != "c" && r.ResponseMode == oauth.ModeQuery {
			t.Fatalf("location of %+v: %v", r.Destination, err)
		}
	})
}

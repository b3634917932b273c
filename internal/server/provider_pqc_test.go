package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/jose"
)

// One client gets ML-DSA-65 ID tokens and access tokens, while everything else of the
// server is signed with RS256: they verify with the key set that has every key, the main
// one stays readable for libraries that know no AKP key, and userinfo, introspection and
// the refresh take them.
func TestAClientWithPostQuantumTokensBesideClientsThatKnowNone(t *testing.T) {
	s, _ := startAtIssuer(t, "", func(c *config.Config) { c.Keys.Algorithms = []string{"ML-DSA-65"} })
	admin, _ := s.login("admin@pico.local", "admin")
	const callback = "https://app.example/callback"
	status, c := s.call("POST", "/api/v1/clients", admin, map[string]any{
		"name": "Vault", "kind": "web", "redirect_uris": []string{callback}, "first_party": true,
		"id_token_signed_response_alg": "ML-DSA-65", "access_token_signed_response_alg": "ML-DSA-65",
	})
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, c)
	}
	v := signIn{t: t, s: s, id: c["client_id"].(string), secret: c["client_secret"].(string), callback: callback}

	_, main, _ := get(t, s.base+"/api/v1/auth/jwks", nil)
	_, all, _ := get(t, s.base+"/.well-known/jwks-pqc.json", nil)
	if strings.Contains(main, "AKP") {
		t.Errorf("the main key set has a key for one client: %s", main)
	}
	keys, err := jose.ParseJWKSet([]byte(all))
	if err != nil {
		t.Fatal(err)
	}
	verify := func(name, token, typ string) map[string]any {
		t.Helper()
		_, header, err := jose.Verify(token, func(h jose.Header) (*jose.PublicKey, error) { return keys[h.KeyID], nil })
		if err != nil || header.Algorithm != jose.MLDSA65 || header.Type != typ {
			t.Errorf("%s: %+v %v", name, header, err)
		}
		return s.claims(token)
	}
	tokens := v.exchange(url.Values{"grant_type": {"authorization_code"}, "code": {v.code()}, "redirect_uri": {callback}, "code_verifier": {pkceVerifier}})
	for range 2 {
		access, id := tokens["access_token"].(string), tokens["id_token"].(string)
		subject := verify("ID token", id, "JWT")["sub"]
		if got := verify("access token", access, "at+jwt")["sub"]; got != subject {
			t.Errorf("sub is %v and %v", got, subject)
		}
		if status, info := s.call("GET", "/oauth2/userinfo", access, nil); status != http.StatusOK || info["sub"] != subject {
			t.Errorf("userinfo: %d %v", status, info)
		}
		if found := v.post("/oauth2/introspect", url.Values{"token": {access}}); found["active"] != true || found["sub"] != subject {
			t.Errorf("introspection: %v", found)
		}
		tokens = v.exchange(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}})
	}
	if header, _, err := jose.Inspect(admin); err != nil || !strings.Contains(string(header), "RS256") {
		t.Errorf("the JSON login: %s %v", header, err)
	}
}

const pkceVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

// signIn is the client that signs a user in, and the user's browser.
type signIn struct {
	t                    *testing.T
	s                    *running
	id, secret, callback string
}

// code signs the first administrator in on the pages and returns the code.
func (v signIn) code() string {
	v.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		v.t.Fatal(err)
	}
	browser := http.Client{Jar: jar, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(req.URL.String(), v.callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	sum := sha256.Sum256([]byte(pkceVerifier))
	page := v.read(browser.Get(v.s.base + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {v.id}, "redirect_uri": {v.callback}, "scope": {"openid profile"}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()))
	action := regexp.MustCompile(`action="([^"]+)"`).FindStringSubmatch(page)
	if action == nil {
		v.t.Fatalf("no form: %s", page)
	}
	values := url.Values{"email": {"admin@pico.local"}, "password": {"admin"}, "action": {"sign-in"}}
	for _, hidden := range regexp.MustCompile(`type="hidden" name="([^"]+)" value="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		values.Set(hidden[1], html.UnescapeString(hidden[2]))
	}
	page = v.read(browser.PostForm(v.s.base+html.UnescapeString(action[1]), values))
	code := regexp.MustCompile(`[?&;]code=([A-Za-z0-9_-]+)`).FindStringSubmatch(page)
	if code == nil {
		v.t.Fatalf("no code: %s", page)
	}
	return code[1]
}

// read returns the target of a redirect and the body.
func (v signIn) read(resp *http.Response, err error) string {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	var body strings.Builder
	body.WriteString(resp.Header.Get("Location") + "\n")
	if err := resp.Write(&body); err != nil {
		v.t.Fatal(err)
	}
	return body.String()
}

func (v signIn) exchange(form url.Values) map[string]any { return v.post("/oauth2/token", form) }

// post sends a form as the client.
func (v signIn) post(path string, form url.Values) map[string]any {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.s.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(v.id), url.QueryEscape(v.secret))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != http.StatusOK {
		v.t.Fatalf("%s: %d %v %v", path, resp.StatusCode, body, err)
	}
	return body
}

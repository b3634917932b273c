package oidc_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// The pages of a logout, as texts.
func confirmSignOut(w http.ResponseWriter, _ *http.Request, c *oauth.Client, path string, values url.Values) {
	name := "unknown"
	if c != nil {
		name = c.Name
	}
	fmt.Fprintf(w, "confirm for %s at %s with %s", name, path, values.Encode())
}

func signedOut(w http.ResponseWriter, _ *http.Request, _ *oauth.Client, address string, frames []string) {
	fmt.Fprintf(w, "signed out to %q with %q", address, frames)
}

const outURI = "https://app.example/out"

// leaving is a browser that is signed in, and the ID token that a client has of it.
type leaving struct {
	*browser
	client  registered
	idToken string
}

// leaving registers a client with more settings, and signs the user in at it.
func (r *rig) leaving(u identity.User, more oauth.Settings) leaving {
	r.t.Helper()
	s := oauth.Settings{"name": "App", "post_logout_redirect_uris": []string{outURI, outURI + "?a=b"}}
	maps.Copy(s, more)
	l := leaving{browser: r.signedIn(u), client: r.register(s)}
	code := l.goes(authorization(l.client.Client)).Query().Get("code")
	a := r.want(200, "", r.token(l.client, "grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier))
	l.idToken = a.text("id_token")
	return l
}

// logout asks for a logout with these parameters and returns the response; hint is
// the parameter id_token_hint, if it is not among them.
func (l leaving) logout(pairs ...string) response {
	l.t.Helper()
	p := url.Values{"id_token_hint": {l.idToken}}
	for i := 0; i < len(pairs); i += 2 {
		if p.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			p.Del(pairs[i])
		}
	}
	return l.send(l.request(http.MethodGet, "/oauth2/logout?"+p.Encode(), nil))
}

// send sends a request with the cookies of the browser.
func (l leaving) send(req *http.Request) response {
	l.t.Helper()
	for _, c := range l.Jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	a := l.do(req)
	for _, line := range a.header.Values("Set-Cookie") {
		if c, err := http.ParseSetCookie(line); err == nil {
			l.Jar.SetCookies(req.URL, []*http.Cookie{c})
		}
	}
	return a
}

func (l leaving) isIn() bool { l.t.Helper(); return l.presents().SessionID != "" }

// OpenID Connect RP-Initiated Logout 1.0, sections 2 and 3.
func TestRPInitiatedLogoutSection2AHintOfThisSessionEndsIt(t *testing.T) {
	r := newRig(t, "")
	u := r.user("ada@pico.example")
	for name, c := range map[string]struct {
		params []string
		to     string
	}{
		"with state":         {[]string{"post_logout_redirect_uri", outURI, "state", "a b&c"}, outURI + "?state=a+b%26c"},
		"without state":      {[]string{"post_logout_redirect_uri", outURI}, outURI},
		"URI with a query":   {[]string{"post_logout_redirect_uri", outURI + "?a=b", "state", "s"}, outURI + "?a=b&state=s"},
		"with the client_id": {[]string{"post_logout_redirect_uri", outURI, "client_id", "-"}, outURI},
	} {
		l := r.leaving(u, nil)
		for i := range c.params {
			if c.params[i] == "-" {
				c.params[i] = l.client.ID
			}
		}
		r.Clock.Advance(time.Hour) // the ID token has expired
		a := l.logout(c.params...)
		if a.status != http.StatusSeeOther || a.header.Get("Location") != c.to || l.isIn() {
			t.Errorf("%s: %d to %q, signed in %t", name, a.status, a.header.Get("Location"), l.isIn())
		}
		if cookie := a.header.Get("Set-Cookie"); !strings.Contains(cookie, "Max-Age=0") {
			t.Errorf("%s: the cookie stays: %s", name, cookie)
		}
	}
	l := r.leaving(u, nil)
	if a := l.logout(); a.status != 200 || a.raw != `signed out to "" with []` || l.isIn() {
		t.Errorf("without a URI: %d %s, signed in %t", a.status, a.raw, l.isIn())
	}
}

// A session that has ended before leaves nothing to ask. The browser is not sent away, but
// the page has a link for a client that shows one of its ID tokens.
func TestRPInitiatedLogoutSection2WithoutASessionThePageLeadsBack(t *testing.T) {
	r := newRig(t, "")
	other := r.leaving(r.user("bob@pico.example"), nil)
	l := r.leaving(r.user("ada@pico.example"), nil)
	l.logout()
	for _, c := range []struct {
		params []string
		link   string
	}{
		{[]string{"post_logout_redirect_uri", outURI, "state", "s"}, outURI + "?state=s"},
		{[]string{"post_logout_redirect_uri", ""}, ""},
		{[]string{"post_logout_redirect_uri", "https://evil.example/out"}, ""},
		{[]string{"post_logout_redirect_uri", outURI, "id_token_hint", ""}, ""},
		{[]string{"post_logout_redirect_uri", outURI, "id_token_hint", "", "client_id", l.client.ID}, ""},
		{[]string{"post_logout_redirect_uri", outURI, "id_token_hint", other.idToken, "client_id", l.client.ID}, ""},
		{[]string{"post_logout_redirect_uri", outURI, "id_token_hint", l.idToken + "x"}, ""},
	} {
		a := l.logout(c.params...)
		if a.status != 200 || a.raw != fmt.Sprintf("signed out to %q with []", c.link) || a.header.Get("Location") != "" || a.header.Get("Refresh") != "" {
			t.Errorf("%v: %d %s", c.params, a.status, a.raw)
		}
	}
}

// In all other cases the user is asked, and the browser is never sent away: neither by
// the request nor by the answer.
func TestRPInitiatedLogoutSection2AnythingElseAsksAndNeverRedirects(t *testing.T) {
	r := newRig(t, "")
	ada, bob := r.user("ada@pico.example"), r.user("bob@pico.example")
	other := r.leaving(bob, nil)
	sameUser := r.leaving(ada, nil)
	for name, params := range map[string][]string{
		"nothing":                  {"id_token_hint", ""},
		"only state":               {"id_token_hint", "", "state", "s"},
		"URI without hint":         {"id_token_hint", "", "post_logout_redirect_uri", outURI},
		"URI and client_id":        {"id_token_hint", "", "post_logout_redirect_uri", outURI, "client_id", "-"},
		"unregistered URI":         {"post_logout_redirect_uri", "https://evil.example/out"},
		"redirect URI":             {"post_logout_redirect_uri", callback},
		"URI with more":            {"post_logout_redirect_uri", outURI + "?foo=bar"},
		"another client's ID":      {"post_logout_redirect_uri", outURI, "client_id", other.client.ID},
		"unknown client":           {"post_logout_redirect_uri", outURI, "client_id", "unknown"},
		"hint of another user":     {"post_logout_redirect_uri", outURI, "id_token_hint", other.idToken},
		"hint of another session":  {"post_logout_redirect_uri", outURI, "id_token_hint", sameUser.idToken},
		"no token":                 {"post_logout_redirect_uri", outURI, "id_token_hint", "x.y.z"},
		"alg none":                 {"post_logout_redirect_uri", outURI, "id_token_hint", "none"},
		"signature of another key": {"post_logout_redirect_uri", outURI, "id_token_hint", "forged"},
	} {
		l := r.leaving(ada, nil)
		for i, value := range params {
			parts := strings.Split(l.idToken, ".")
			switch value {
			case "-":
				params[i] = l.client.ID
			case "none":
				params[i] = "eyJhbGciOiJub25lIn0." + parts[1] + "."
			case "forged":
				params[i] = parts[0] + "." + parts[1] + "." + strings.Split(other.idToken, ".")[2]
			}
		}
		a := l.logout(params...)
		if a.status != 200 || !strings.HasPrefix(a.raw, "confirm for ") || a.header.Get("Location") != "" || !l.isIn() {
			t.Errorf("%s: %d %s, signed in %t", name, a.status, a.raw, l.isIn())
		}
		answer := l.send(l.request(http.MethodPost, "/oauth2/logout/confirm", url.Values{"action": {"sign-out"}, "post_logout_redirect_uri": {outURI}, "state": {"s"}}))
		if answer.status != 200 || answer.raw != `signed out to "" with []` || l.isIn() {
			t.Errorf("%s, confirmed: %d %s, signed in %t", name, answer.status, answer.raw, l.isIn())
		}
	}
}

func TestTheConfirmationIsProtectedFromOtherSites(t *testing.T) {
	r := newRig(t, "")
	l := r.leaving(r.user("ada@pico.example"), nil)
	for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
		req := l.request(http.MethodPost, "/oauth2/logout/confirm", url.Values{"action": {"sign-out"}})
		req.Header.Set(header[0], header[1])
		if a := l.send(req); a.status != http.StatusForbidden || !l.isIn() {
			t.Errorf("%v: %d, signed in %t", header, a.status, l.isIn())
		}
	}
	a := l.send(l.request(http.MethodPost, "/oauth2/logout/confirm", url.Values{"action": {"stay"}}))
	if a.status != http.StatusSeeOther || a.header.Get("Location") != r.issuer+"/account" || !l.isIn() {
		t.Errorf("stay: %d to %s, signed in %t", a.status, a.header.Get("Location"), l.isIn())
	}
	if a := l.send(l.request(http.MethodGet, "/oauth2/logout/confirm", nil)); a.status != http.StatusMethodNotAllowed || !l.isIn() {
		t.Errorf("by GET: %d", a.status)
	}
}

// A POST from a client's page has no cookies: it leads to a GET with the same parameters.
func TestRPInitiatedLogoutSection2ByPost(t *testing.T) {
	r := newRig(t, "")
	l := r.leaving(r.user("ada@pico.example"), nil)
	form := url.Values{"id_token_hint": {l.idToken}, "post_logout_redirect_uri": {outURI}, "state": {"s"}}
	req := l.request(http.MethodPost, "/oauth2/logout", form)
	req.Header.Set("Origin", "https://app.example")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	a := l.do(req)
	to := a.header.Get("Location")
	if a.status != http.StatusSeeOther || !strings.HasPrefix(to, r.issuer+"/oauth2/logout?") || !l.isIn() {
		t.Fatalf("%d to %s", a.status, to)
	}
	a = l.send(l.request(http.MethodGet, strings.TrimPrefix(to, r.server.URL), nil))
	if a.status != http.StatusSeeOther || a.header.Get("Location") != outURI+"?state=s" || l.isIn() {
		t.Errorf("%d to %s", a.status, a.header.Get("Location"))
	}
}

func TestMalformedLogoutsAreRefused(t *testing.T) {
	r := newRig(t, "")
	l := r.leaving(r.user("ada@pico.example"), nil)
	for name, query := range map[string]string{
		"repeated":  "state=a&state=b",
		"not UTF-8": "state=%ff",
		"too long":  "state=" + strings.Repeat("a", 17<<10),
	} {
		if a := l.send(l.request(http.MethodGet, "/oauth2/logout?"+query, nil)); a.status != http.StatusBadRequest || !l.isIn() {
			t.Errorf("%s: %d", name, a.status)
		}
	}
}

// OpenID Connect Front-Channel Logout 1.0, section 2: the page loads the address of each
// client, and then goes on to the one that has asked.
func TestFrontChannelLogoutSection2ThePageTellsClientsBeforeItGoesOn(t *testing.T) {
	r := newRig(t, "")
	l := r.leaving(r.user("ada@pico.example"), oauth.Settings{"frontchannel_logout_uri": "https://app.example/front"})
	sid := l.presents().SessionID
	a := l.logout("post_logout_redirect_uri", outURI, "state", "s")
	frame := "https://app.example/front?" + url.Values{"iss": {r.issuer}, "sid": {sid}}.Encode()
	if a.status != 200 || a.raw != fmt.Sprintf("signed out to %q with [%q]", outURI+"?state=s", frame) || a.header.Get("Refresh") != "2; url="+outURI+"?state=s" || l.isIn() {
		t.Errorf("%d %s, refresh %q, signed in %t", a.status, a.raw, a.header.Get("Refresh"), l.isIn())
	}
}

func TestDiscoverySaysWhichLogoutsWork(t *testing.T) {
	got := newRig(t, "").get("/.well-known/openid-configuration").body
	for _, name := range []string{
		"backchannel_logout_supported", "backchannel_logout_session_supported", "frontchannel_logout_supported", "frontchannel_logout_session_supported",
	} {
		if got[name] != true {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if _, there := got["check_session_iframe"]; there {
		t.Error("there is a check_session_iframe")
	}
}

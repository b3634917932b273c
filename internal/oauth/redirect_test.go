package oauth_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

func kinds() []oauth.Kind {
	return []oauth.Kind{oauth.KindSPA, oauth.KindWeb, oauth.KindNative, oauth.KindMachine}
}

func TestRedirectURIsThatEveryBrowserReadsInOneWayAreAccepted(t *testing.T) {
	for _, uri := range []string{
		"https://app.example/callback", "https://app.example", "https://app.example/", "https://app.example:8443/cb?tenant=a%20b&x=[1]",
		"https://xn--bcher-kva.example/cb", "https://192.0.2.7/cb", "https://[2001:db8::1]:8443/cb", "https://APP.example/Cb;v=1",
		"http://localhost/cb", "http://localhost:3000/cb", "http://127.0.0.1:3000/cb", "http://[::1]:3000/cb", "http://[::1]/cb",
		"https://app.example/a.b/..c/...", "https://app.example/cb?next=/../x",
	} {
		for _, kind := range kinds() {
			if err := oauth.ValidateRedirectURI(kind, uri); err != nil {
				t.Errorf("%s %s: %v", kind, uri, err)
			}
		}
	}
	// RFC 8252 section 7.1
	for _, uri := range []string{"com.example.app:/oauth", "com.example.app://callback", "com.example.app:/", "com.example.app://callback/path?x=y"} {
		if err := oauth.ValidateRedirectURI(oauth.KindNative, uri); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
		if oauth.ValidateRedirectURI(oauth.KindWeb, uri) == nil {
			t.Errorf("%s is accepted for a web client", uri)
		}
	}
}

func TestRedirectURIsThatCouldLeadElsewhereAreRefused(t *testing.T) {
	for _, uri := range []string{
		"", "/callback", "//app.example/cb", "app.example/cb", "https:", "https://", "https:///cb", "https:app.example", "https:/app.example/cb",
		"https://app.example/cb#", "https://app.example/cb#fragment",
		"https://user@app.example/cb", "https://user:secret@app.example/cb", "https://@app.example/cb", "https://app.example@evil.example/",
		"https://*.example/cb", "https://app.example/*", "https://app.example/cb?x=*",
		"https://app.example/a/../b", "https://app.example/./b", "https://app.example/..", "https://app.example/.", "https://app.example/%2e%2e/b",
		"https://app.example/%2E/b", "https://app.example/a/.%2e",
		"https://app.example/\\evil.example", "https:\\\\evil.example", "https://app.example\\@evil.example", "https://app.example/a b", "https://app.example/\t",
		" https://app.example/", "https://app.example/\n", "https://app.example/\x00", "https://app.example/\u00fc", "https://b\u00fccher.example/",
		"https://app.example/%", "https://app.example/%zz", "https://app.example/cb?x=%g1", "https://app%2eexample/", "https://app.example:/", "https://app.example:0/",
		"https://app.example:65536/", "https://app.example:08/", "https://app.example:80:80/", "https://a_b.example/", "https://[::1/", "https://::1/",
		"https://[fe80::1%25eth0]/cb", "https://%E3%81%82.example/", "https://evil%EF%BC%8F.example/",
		"HTTPS://app.example/cb", "http://app.example/cb", "http://127.0.0.2/cb", "http://localhost.evil.example/cb", "http://127.0.0.1.evil.example/",
		"http://localhost@evil.example/", "http://2130706433/cb", "http://0.0.0.0/cb", "ftp://app.example/cb", "ws://app.example/cb",
		"javascript:alert(1)", "javascript://app.example/%0aalert(1)", "data:text/html,x", "file:///etc/passwd", "blob:https://app.example/x",
		"vbscript:x", "about:blank", "myapp:/cb", "com.example.app:cb", "com.example.app:", "com.example.app://", "com.example.app.:/cb", "Com.Example.App:/cb",
		"com.example.app:/a/../b", "com.example.app:/cb#x", "com.example.app://user@host/cb",
		"https://app.example/" + strings.Repeat("a", 2000),
	} {
		for _, kind := range kinds() {
			if oauth.ValidateRedirectURI(kind, uri) == nil {
				t.Errorf("%s accepts %q", kind, uri)
			}
		}
	}
}

// RFC 9700 section 4.1.3: redirect URIs are compared as text.
func TestARedirectURIIsComparedExactly(t *testing.T) {
	const registered = "https://app.example/callback?x=1"
	for _, kind := range kinds() {
		c := oauth.Client{Kind: kind, RedirectURIs: []string{"https://app.example/other", registered}}
		if !c.RedirectURI(registered) {
			t.Errorf("%s: the registered URI does not match", kind)
		}
		for _, uri := range []string{
			"", "https://app.example/callback", "https://app.example/callback?x=1&y=2", "https://app.example/callback?x=1#", "https://APP.example/callback?x=1",
			"https://app.example:443/callback?x=1", "https://app.example/callback/?x=1", "http://app.example/callback?x=1", registered + "/", " " + registered,
			"https://app.example/%63allback?x=1", "https://app.example/a/../callback?x=1",
		} {
			if c.RedirectURI(uri) {
				t.Errorf("%s: %q matches", kind, uri)
			}
		}
	}
}

// RFC 8252 section 7.3: the port of a loopback address is not compared.
func TestALoopbackAddressOfANativeClientMatchesOnAnyPort(t *testing.T) {
	c := oauth.Client{Kind: oauth.KindNative, RedirectURIs: []string{"http://127.0.0.1/cb?a=b", "http://[::1]:7000", "http://localhost:3000/cb"}}
	for _, uri := range []string{"http://127.0.0.1/cb?a=b", "http://127.0.0.1:1/cb?a=b", "http://127.0.0.1:65535/cb?a=b", "http://[::1]", "http://[::1]:8", "http://localhost:3000/cb"} {
		if !c.RedirectURI(uri) {
			t.Errorf("%s does not match", uri)
		}
	}
	for _, uri := range []string{
		"http://127.0.0.1:1/cb", "http://127.0.0.1:1/cb?a=c", "http://127.0.0.1:0/cb?a=b", "http://127.0.0.1:65536/cb?a=b", "http://127.0.0.1:/cb?a=b",
		"http://127.0.0.1:1@evil.example/cb?a=b", "http://127.0.0.1.evil.example/cb?a=b", "http://127.0.0.1:80.evil.example/cb?a=b",
		"http://127.0.0.1:99999999999999999999/cb?a=b", "http://127.0.0.2:1/cb?a=b", "https://127.0.0.1:1/cb?a=b", "http://[::1]:8/", "http://[::1]:8?x",
		"http://[::2]:8", "http://localhost:3001/cb", "http://localhost/cb", "http://127.0.0.1:-1/cb?a=b", "http://127.0.0.1:+1/cb?a=b",
	} {
		if c.RedirectURI(uri) {
			t.Errorf("%s matches", uri)
		}
	}
	c.Kind = oauth.KindWeb
	if c.RedirectURI("http://127.0.0.1:1/cb?a=b") {
		t.Error("another port matches for a web client")
	}
}

// What matches without being registered differs from a registered URI in the port
// alone, so that the response never leaves the address.
func TestAMatchNeverLeavesTheRegisteredAddress(t *testing.T) {
	parts := rapid.SampledFrom([]string{
		"http://127.0.0.1", "http://[::1]", "http://localhost", "https://127.0.0.1", ":1", ":80", ":", "/cb", "?x=1", "@evil.example", ".evil.example", "#", "/", "\\", "//",
	})
	rapid.Check(t, func(t *rapid.T) {
		registered, given := strings.Join(rapid.SliceOfN(parts, 1, 5).Draw(t, "registered"), ""), strings.Join(rapid.SliceOfN(parts, 1, 5).Draw(t, "given"), "")
		c := oauth.Client{Kind: oauth.KindNative, RedirectURIs: []string{registered}}
		if oauth.ValidateRedirectURI(c.Kind, registered) == nil {
			checkMatch(t, c, registered, given)
		}
	})
}

func checkMatch(t interface{ Errorf(string, ...any) }, c oauth.Client, registered, given string) {
	if !c.RedirectURI(given) || given == registered {
		return
	}
	r, _ := url.Parse(registered)
	g, err := url.Parse(given)
	if err != nil || g.Scheme != "http" || g.Hostname() != r.Hostname() || g.RequestURI() != r.RequestURI() || g.User != nil || g.Fragment != "" {
		t.Errorf("%q matches the registered %q", given, registered)
	}
	if host := g.Hostname(); host != "127.0.0.1" && host != "::1" {
		t.Errorf("%q matches and is no loopback address", given)
	}
}

func TestEveryPortOfALoopbackAddressMatches(t *testing.T) {
	c := oauth.Client{Kind: oauth.KindNative, RedirectURIs: []string{"http://127.0.0.1:5000/cb"}}
	rapid.Check(t, func(t *rapid.T) {
		port := rapid.IntRange(-10, 70000).Draw(t, "port")
		if got := c.RedirectURI("http://127.0.0.1:" + strconv.Itoa(port) + "/cb"); got != (port >= 1 && port <= 65535) {
			t.Errorf("port %d: %t", port, got)
		}
	})
}

// FuzzRedirectURI looks for an accepted URI that a browser reads in another way than the
// server, and for a match with another address.
func FuzzRedirectURI(f *testing.F) {
	for _, uri := range []string{"https://app.example/cb", "http://127.0.0.1:1/cb", "http://[::1]/?x", "com.example.app:/cb", "https://a@b/#", "javascript:x"} {
		f.Add(uri, uri)
	}
	f.Fuzz(func(t *testing.T, registered, given string) {
		for _, kind := range kinds() {
			c := oauth.Client{Kind: kind, RedirectURIs: []string{registered}}
			if oauth.ValidateRedirectURI(kind, registered) != nil {
				continue
			}
			u, err := url.Parse(registered)
			if err != nil || u.Scheme == "" || u.User != nil || strings.ContainsAny(registered, "#*\\ \t\r\n") || u.String() != registered && u.RawQuery != "" && !strings.HasSuffix(registered, u.RawQuery) {
				t.Errorf("%s accepts %q", kind, registered)
			}
			if u.Scheme == "http" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1" {
				t.Errorf("%s accepts %q", kind, registered)
			}
			checkMatch(t, c, registered, given)
		}
	})
}

// RFC 8252 section 8.6: another program on the device may receive the response.
func TestLoopbackAndPrivateUseRedirectURIsAreNotTrusted(t *testing.T) {
	for uri, want := range map[string]bool{
		"https://app.example/cb": false, "http://localhost:3000/cb": true, "http://127.0.0.1/cb": true, "http://[::1]/cb": true, "https://localhost/cb": false, "com.example.app:/cb": true,
	} {
		if oauth.Loopback(uri) != want {
			t.Errorf("Loopback(%s) = %t", uri, !want)
		}
	}
}

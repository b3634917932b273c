package oauth_test

import (
	"testing"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

// OpenID Connect RP-Initiated Logout 1.0, section 3: the comparison is exact.
func TestRPInitiatedLogoutSection3PostLogoutRedirectURIsAreComparedExactly(t *testing.T) {
	c := oauth.Client{PostLogoutRedirectURIs: []string{"https://app.example/out", "com.example.app:/out"}, RedirectURIs: []string{"https://app.example/cb"}}
	for uri, want := range map[string]bool{
		"https://app.example/out": true, "com.example.app:/out": true,
		"": false, "https://app.example/cb": false, "https://app.example/out/": false, "https://app.example/out?foo=bar": false,
		"https://app.example/OUT": false, "https://APP.example/out": false, "https://app.example:443/out": false,
		"https://app.example/out#": false, "https://app.example/./out": false, "https://app.example@evil.example/out": false,
	} {
		if got := c.PostLogoutRedirect(uri); got != want {
			t.Errorf("%q: %t", uri, got)
		}
	}
	c.Suspended = true
	if c.PostLogoutRedirect("https://app.example/out") {
		t.Error("a suspended client gets the browser")
	}
}

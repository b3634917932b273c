package oauth_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

func TestOriginsOfAClientAreTheRegisteredOnesElseThoseOfItsRedirectURIs(t *testing.T) {
	c := oauth.Client{RedirectURIs: []string{
		"https://app.example/callback", "https://app.example/silent", "http://localhost:3000/cb", "com.example.app:/callback", "https://app.example:8443/",
	}}
	if diff := cmp.Diff([]string{"https://app.example", "http://localhost:3000", "https://app.example:8443"}, c.Origins()); diff != "" {
		t.Error(diff)
	}
	c.AllowedOrigins = []string{"https://other.example"}
	if diff := cmp.Diff([]string{"https://other.example"}, c.Origins()); diff != "" {
		t.Error(diff)
	}
}

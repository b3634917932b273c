package main

import (
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

func TestSnippetIsOfTheGrantsThatTheClientHas(t *testing.T) {
	code, device := "config.AuthCodeURL(", "config.DeviceAuth("
	redirects := []string{"http://127.0.0.1/callback"}
	for name, c := range map[string]struct {
		client oauth.Client
		want   []string
	}{
		"code":   {oauth.Client{GrantTypes: []string{oauth.GrantCode}, RedirectURIs: redirects}, []string{code}},
		"device": {oauth.Client{GrantTypes: []string{oauth.GrantDevice}}, []string{device}},
		"both":   {oauth.Client{GrantTypes: []string{oauth.GrantCode, oauth.GrantDevice}, RedirectURIs: redirects}, []string{code, device}},
	} {
		c.client.Kind = oauth.KindNative
		text := snippet("http://localhost:8100", c.client, "")
		for _, part := range []string{code, device} {
			wanted := false
			for _, w := range c.want {
				wanted = wanted || w == part
			}
			if strings.Contains(text, part) != wanted {
				t.Errorf("%s: the snippet has %s: %v, want %v:\n%s", name, part, !wanted, wanted, text)
			}
		}
	}
}

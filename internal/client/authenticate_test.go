package client_test

import (
	"net/url"
	"testing"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

func TestAClientIsAuthenticatedByItsSecretAndNothingElse(t *testing.T) {
	each(t, func(w *world) {
		c, secret := w.client(nil)
		other, otherSecret := w.client(nil)
		got, err := w.Clients.Authenticate(t.Context(), remote, with(oauth.AuthSecretBasic, c.ID, secret))
		w.ok(err)
		if got.ID != c.ID {
			t.Errorf("authenticated %s as %s", c.ID, got.ID)
		}
		for name, creds := range map[string]oauth.ClientCredentials{
			"of another client": with(oauth.AuthSecretBasic, c.ID, otherSecret),
			"empty":             with(oauth.AuthSecretBasic, c.ID, ""),
			"longer":            with(oauth.AuthSecretBasic, c.ID, secret+"x"),
			"the hash":          with(oauth.AuthSecretBasic, other.ID, "hash"),
			"unknown client":    with(oauth.AuthSecretBasic, "nobody", secret),
			"no client":         with(oauth.AuthSecretBasic, "", secret),
			"NUL":               with(oauth.AuthSecretBasic, "\x00", secret),
		} {
			_, err := w.Clients.Authenticate(t.Context(), remote, creds)
			t.Log(name)
			w.refused(oauth.InvalidClient, err)
		}
	})
}

// OpenID Connect Core 9: a client uses the method that it is registered with.
func TestAClientUsesExactlyItsRegisteredMethod(t *testing.T) {
	each(t, func(w *world) {
		methods := []string{oauth.AuthNone, oauth.AuthSecretBasic, oauth.AuthSecretPost}
		for _, registered := range methods {
			c, secret := w.client(oauth.Settings{"token_endpoint_auth_method": registered})
			for _, used := range methods {
				_, err := w.Clients.Authenticate(t.Context(), remote, with(used, c.ID, secret))
				if used == registered {
					w.ok(err)
				} else {
					w.refused(oauth.InvalidClient, err)
				}
			}
		}
	})
}

func TestAClientOfASuspendedOrganizationIsRefused(t *testing.T) {
	each(t, func(w *world) {
		w.user("boss", "org_admin", "acme")
		c, secret := w.client(oauth.Settings{"org_id": "acme"})
		creds := parsed(t, nil, url.Values{"client_id": {c.ID}, "client_secret": {secret}})
		creds.Method = oauth.AuthSecretBasic
		_, err := w.Clients.Authenticate(t.Context(), remote, creds)
		w.ok(err)
		w.suspendOrganization("acme")
		_, err = w.Clients.Authenticate(t.Context(), remote, creds)
		w.refused(oauth.InvalidClient, err)
		if got, err := w.Clients.Get(t.Context(), c.ID); err != nil || !got.Suspended {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

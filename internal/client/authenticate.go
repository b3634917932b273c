package client

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Authenticate returns the active client whose credentials these are, without its logo.
// Every refusal is an *oauth.Error, or Throttled; other errors are accidents. A client uses exactly
// the method that it is registered with.
func (c *Clients) Authenticate(ctx context.Context, by identity.Actor, creds oauth.ClientCredentials) (oauth.Client, error) {
	found, err := c.authenticate(ctx, by, creds)
	refusal, refused := errors.AsType[*oauth.Error](err)
	if refused {
		act := store.Act{Action: identity.ActionAuthenticateClient, By: by, Detail: refusal.Description}
		c.audit.Failed(ctx, act, found.ID, found.OrgID)
		return oauth.Client{}, err
	}
	if err != nil {
		return oauth.Client{}, fmt.Errorf("authenticate client: %w", err)
	}
	return found, nil
}

// authenticate returns the client with a refusal too, if it is known.
func (c *Clients) authenticate(ctx context.Context, by identity.Actor, creds oauth.ClientCredentials) (oauth.Client, error) {
	id, err := named(creds)
	if err != nil {
		return oauth.Client{}, err
	}
	if !identity.ValidID(id) {
		return oauth.Client{}, errUnknown
	}
	found, hashes, err := c.store.ClientSecrets(ctx, id)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return oauth.Client{}, errUnknown
	case err != nil:
		return oauth.Client{}, err
	case found.AuthMethod != creds.Method:
		return found, oauth.Refuse(oauth.InvalidClient, "the client is registered with another authentication method")
	case found.Suspended:
		return found, oauth.Refuse(oauth.InvalidClient, "the client is suspended")
	}
	switch creds.Method {
	case oauth.AuthNone:
		return found, nil
	case oauth.AuthSecretBasic, oauth.AuthSecretPost:
		if !anyEqual(hashes, hashOf(string(creds.Secret))) {
			return found, errUnknown
		}
		return found, nil
	case oauth.AuthPrivateKeyJWT:
		return found, c.verifyAssertion(ctx, by, found, string(creds.Secret))
	default:
		return found, errUnknown
	}
}

// errUnknown does not tell an unknown client from a wrong secret.
var errUnknown = oauth.Refuse(oauth.InvalidClient, "the client is unknown or its credentials are wrong")

// hashOf is the form in which the store has a secret.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// anyEqual compares in constant time.
func anyEqual(hashes []string, hash string) bool {
	equal := 0
	for _, h := range hashes {
		equal |= subtle.ConstantTimeCompare([]byte(h), []byte(hash))
	}
	return equal == 1
}

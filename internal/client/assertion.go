package client

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

const (
	// assertionLifetime bounds how far ahead an assertion expires, and so how long its
	// jti is kept.
	assertionLifetime = 5 * time.Minute
	// assertionLeeway is how much the clock of a client may be wrong.
	assertionLeeway = 30 * time.Second
)

func badAssertion(description string, cause error) error {
	return &oauth.Error{Code: oauth.InvalidClient, Description: "client_assertion " + description, Cause: cause}
}

// subjectOf returns the client that an assertion claims to be of, unverified.
func subjectOf(assertion string) string {
	_, payload, err := jose.Inspect(assertion)
	if err != nil {
		return ""
	}
	claims, err := jose.ParseObject(payload)
	if err != nil {
		return ""
	}
	sub, _ := claims["sub"].(string)
	return sub
}

// verifyAssertion checks a client assertion, OpenID Connect Core 9 and RFC 7523
// section 3, and marks it as used.
func (c *Clients) verifyAssertion(ctx context.Context, by identity.Actor, of oauth.Client, assertion string) error {
	keys, err := jose.ParseJWKSet(of.JWKS)
	if err != nil {
		return err // it was checked when it was stored
	}
	payload, err := jose.VerifyAssertion(assertion, func(h jose.Header) (*jose.PublicKey, error) { return keyFor(keys, h) })
	if err != nil {
		return badAssertion("is malformed, or not signed with a key of the client", err)
	}
	claims, err := jose.ParseObject(payload)
	if err != nil {
		return badAssertion("is malformed", err)
	}
	jti, expires, err := c.checkAssertion(of.ID, claims)
	if err != nil {
		return err
	}
	err = c.throttle.Assertion(ctx, by, of.ID, func() error {
		return c.store.UseClientAssertion(ctx, of.ID, hashOf(jti), expires)
	})
	if errors.Is(err, store.ErrAssertionUsed) {
		return badAssertion("was used before", nil)
	}
	return err
}

// keyFor returns the key of that kid; without one, the only key of the algorithm.
func keyFor(keys map[string]*jose.PublicKey, h jose.Header) (found *jose.PublicKey, err error) {
	if h.KeyID != "" {
		return keys[h.KeyID], nil
	}
	for _, key := range keys {
		if key.Algorithm() != h.Algorithm {
			continue
		}
		if found != nil {
			return nil, errors.New("without kid, and the client has several keys of the algorithm")
		}
		found = key
	}
	return found, nil
}

// checkAssertion checks the claims and returns what the assertion is remembered by.
func (c *Clients) checkAssertion(clientID string, claims map[string]any) (jti string, expires time.Time, err error) {
	now := c.now()
	expires, hasExp := numericDate(claims["exp"])
	iat, hasIat := numericDate(claims["iat"])
	nbf, hasNbf := numericDate(claims["nbf"])
	jti, _ = claims["jti"].(string)
	switch {
	case claims["iss"] != clientID || claims["sub"] != clientID:
		err = badAssertion("must have the client_id as iss and sub", nil)
	case claims["aud"] != c.issuer && claims["aud"] != c.tokenEndpoint():
		// One string: an assertion for several servers could be replayed at each of them.
		err = badAssertion("must have the issuer or the token endpoint as aud, as one string", nil)
	case jti == "":
		err = badAssertion("must have a jti", nil)
	case !hasExp || !now.Before(expires.Add(assertionLeeway)):
		err = badAssertion("has expired", nil)
	case expires.After(now.Add(assertionLifetime + assertionLeeway)):
		err = badAssertion("must expire within 5 minutes", nil)
	case claims["iat"] != nil && (!hasIat || iat.After(now.Add(assertionLeeway))),
		claims["nbf"] != nil && (!hasNbf || nbf.After(now.Add(assertionLeeway))):
		err = badAssertion("is not valid yet", nil)
	}
	return jti, expires.Add(assertionLeeway), err
}

func (c *Clients) tokenEndpoint() string { return strings.TrimRight(c.issuer, "/") + "/oauth2/token" }

// maxDate is the last time of a claim that is read as one: a time beyond it cannot be
// stored.
const maxDate = 253402300799

func numericDate(claim any) (time.Time, bool) {
	n, ok := claim.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := n.Float64()
	if err != nil || seconds < 0 || seconds > maxDate {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// named returns the id of the client that the credentials name.
func named(creds oauth.ClientCredentials) (string, error) {
	if creds.Method != oauth.AuthPrivateKeyJWT {
		return creds.ClientID, nil
	}
	id := subjectOf(string(creds.Secret))
	if creds.ClientID != "" && creds.ClientID != id {
		return "", badAssertion("must have the client_id as iss and sub", nil)
	}
	return id, nil
}

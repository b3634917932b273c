package token

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// identifies reports whether the grant has an ID token (OpenID Connect Core 3.1.3.3).
func (g Grant) identifies() bool {
	return g.client != nil && g.granted != nil && has(g.Scope, oauth.ScopeOpenID)
}

// accessAlgorithm signs the access tokens of the grant; empty: auth.algorithm.
func accessAlgorithm(g Grant) jose.Algorithm {
	if g.client == nil {
		return ""
	}
	return jose.Algorithm(g.client.AccessTokenAlg)
}

// idAlgorithm signs the ID tokens of the client; RS256 unless it asked for another one
// (OpenID Connect Dynamic Client Registration 2).
func idAlgorithm(c oauth.Client) jose.Algorithm {
	return cmp.Or(jose.Algorithm(c.IDTokenAlg), jose.RS256)
}

// idClaims are the claims of an ID token, OpenID Connect Core 2.
type idClaims struct {
	Issuer          string   `json:"iss"`
	Subject         string   `json:"sub"`
	Audience        string   `json:"aud"`
	Expires         int64    `json:"exp"`
	IssuedAt        int64    `json:"iat"`
	AuthTime        int64    `json:"auth_time,omitempty"`
	Nonce           string   `json:"nonce,omitempty"`
	ACR             string   `json:"acr,omitempty"`
	AMR             []string `json:"amr,omitempty"`
	AuthorizedParty string   `json:"azp"`
	AccessTokenHash string   `json:"at_hash"`
	Session         string   `json:"sid,omitempty"`
}

// idToken signs the ID token that is issued with an access token. That of a refresh
// says when the user was authenticated first, and has no nonce (Core 12.2).
func (i *Issuer) idToken(g Grant, d draft, of store.Subject, access string) (string, error) {
	signer, err := i.keys.Signer(idAlgorithm(*g.client))
	if err != nil {
		return "", err
	}
	lifetime := orDefault(time.Duration(g.client.IDTokenLifetime)*time.Second, i.accessLifetime)
	c := idClaims{
		Issuer: i.issuer, Subject: of.User.ID, Audience: g.ClientID, Expires: d.issuedAt.Add(lifetime).Unix(), IssuedAt: d.issuedAt.Unix(),
		Nonce: g.Nonce, ACR: g.ACR, AMR: g.AMR, AuthorizedParty: g.ClientID,
		AccessTokenHash: leftHash(signer.Algorithm, access), Session: of.SessionID,
	}
	if !g.AuthTime.IsZero() {
		c.AuthTime = g.AuthTime.Unix()
	}
	body, err := encodeFor(signer, jose.TypeJWT, g, i.groups(of.Groups, of.GroupNames), func(g Grant, groups Groups) ([]byte, error) {
		body, err := json.Marshal(c)
		if err == nil {
			body, err = withMore(body, aboutUser(of.User, groups, *g.client, g.Scope, g.requested()))
		}
		return body, err
	})
	if err != nil {
		return "", err
	}
	return signer.Sign(jose.TypeJWT, body)
}

// requested are the claims that the client asked for by name in the ID token (Core 5.5).
func (g Grant) requested() []string {
	if g.granted.Claims == "" {
		return nil
	}
	asked, err := oauth.ParseClaims(g.granted.Claims)
	if err != nil {
		return nil // the authorization endpoint has checked it
	}
	return slices.Collect(maps.Keys(asked.IDToken))
}

// moreClaims are the claims of a client's access token beside those of RFC 9068: those
// by which services decide, by scope, and the client's custom ones. A token for the
// audience of the Issuer has the former in any case.
func (i *Issuer) moreClaims(g Grant, of store.Subject, groups Groups) map[string]any {
	more := map[string]any{}
	customClaims(more, *g.client, of.User.Metadata)
	if g.Audience == i.audience {
		return more
	}
	if has(g.Scope, oauth.ScopeEmail) {
		more["email"] = of.User.Email
	}
	if has(g.Scope, oauth.ScopeGroups) {
		for _, claim := range groupClaims {
			if value := claim.value(&of.User, groups); value != "" {
				more[claim.name] = value
			}
		}
	}
	role, org := of.User.Role, of.User.OrgID
	if of.User.ID == "" { // the client itself
		role, org = identity.Role(g.client.Role), g.client.OrgID
	}
	if has(g.Scope, oauth.ScopeRoles) && role != "" {
		more["role"] = role
	}
	if has(g.Scope, oauth.ScopeOrg) && org != "" {
		more["org_id"] = org
	}
	return more
}

// withMore adds the fields to a JSON object that has some.
func withMore(object []byte, more map[string]any) ([]byte, error) {
	if len(more) == 0 {
		return object, nil
	}
	fields, err := json.Marshal(more)
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{object[:len(object)-1], fields[1:]}, []byte(",")), nil
}

// leftHash is the claim at_hash, OpenID Connect Core 3.1.3.6: the left half of the hash
// that belongs to the algorithm of the ID token. For ML-DSA, of which no specification
// says it, it is SHA-512, as for EdDSA.
func leftHash(algorithm jose.Algorithm, access string) string {
	var sum []byte
	switch {
	case strings.HasSuffix(string(algorithm), "256"):
		s := sha256.Sum256([]byte(access))
		sum = s[:]
	case strings.HasSuffix(string(algorithm), "384"):
		s := sha512.Sum384([]byte(access))
		sum = s[:]
	default:
		s := sha512.Sum512([]byte(access))
		sum = s[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

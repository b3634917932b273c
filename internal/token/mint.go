package token

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Grant describes the tokens of a client. Every grant type fills one in.
type Grant struct {
	ClientID string // required; without a user it is the subject
	Scope    string // separated by spaces; optional
	Audience string // empty: that of the Issuer
	Typ      string // of the header: jose.TypeJWT or jose.TypeAccessToken; empty: jose.TypeJWT

	AccessLifetime  time.Duration // whole seconds; 0: that of the Issuer
	RefreshLifetime time.Duration // slides with each rotation; 0: that of the Issuer
	Refresh         bool          // whether there is a refresh token
	End             time.Time     // latest expiry of refresh tokens

	// Of tokens that name their client.
	AuthTime time.Time // zero: not named
	AMR      []string
	ACR      string
	Nonce    string // of the ID token

	client  *oauth.Client // registered; nil: the first-party client or a service token
	granted *Granted      // of the user to the client; nil: there is no user
	limit   int           // of the families of offline_access of a user; 0: none
}

// stored reports whether the grant has a family. That of a client without refresh
// tokens has one too, whose secret no client gets: by it the access token is revoked,
// and the client is told about a logout.
func (g Grant) stored() bool { return g.Refresh || g.granted != nil }

// FirstParty is the grant of the JSON login.
func FirstParty() Grant { return Grant{ClientID: identity.FirstPartyClient, Refresh: true} }

// Commit is the transaction of a grant. It checks that the user may have a token
// now, stores the family, which is nil if the grant has no refresh token, and
// returns the user of the tokens, or the service token: with neither, the zero Subject.
type Commit func(ctx context.Context, first *store.NewFamily) (store.Subject, error)

// Mint runs the transaction of a grant and returns its tokens. They are signed
// after the commit, so that signing never holds a write lock.
func (i *Issuer) Mint(ctx context.Context, g Grant, commit Commit) (Pair, error) {
	g = i.complete(g)
	if err := i.ready(ctx, g); err != nil {
		return Pair{}, err
	}
	d := i.draft(g, "")
	var first *store.NewFamily
	if g.stored() {
		first = &store.NewFamily{ClientID: g.ClientID, Granted: store.Granted{Scope: g.Scope}, ExpiresAt: g.End, First: d.next, Limit: g.limit}
		if g.granted != nil {
			first.Granted, first.Permit = *g.granted, i.rotations.permit(g.ClientID, i.now())
		}
	}
	subject, err := commit(ctx, first)
	if errors.Is(err, errTooManyRotations) {
		i.counts.limited.Add(1)
	}
	if err != nil {
		return Pair{}, err
	}
	i.counts.issued.Add(1)
	if g.granted != nil {
		i.rotations.took(subject.User.ID, subject.SessionID, g.ClientID, i.now())
	}
	if of := subject.Granted; of != nil {
		g.AuthTime, g.AMR, g.ACR = of.AuthTime, of.AMR, of.ACR
	}
	return i.sign(g, d, subject)
}

// ready returns an error when the tokens of the grant could not be signed.
func (i *Issuer) ready(ctx context.Context, g Grant) error {
	if err := i.keys.Ready(ctx); err != nil || g.client == nil {
		return err
	}
	if _, err := i.keys.Signer(accessAlgorithm(g)); err != nil {
		return err
	}
	if !g.identifies() {
		return nil
	}
	_, err := i.keys.Signer(idAlgorithm(*g.client))
	return err
}

// complete applies the defaults of the Issuer.
func (i *Issuer) complete(g Grant) Grant {
	if g.Audience == "" {
		g.Audience = i.audience
	}
	g.AccessLifetime = orDefault(g.AccessLifetime, i.accessLifetime)
	g.RefreshLifetime = orDefault(g.RefreshLifetime, i.refreshLifetime)
	return g
}

// draft holds what is decided about tokens before their transaction.
type draft struct {
	refresh  string // the opaque token itself, shown to the client once; empty: none
	next     store.NewRefresh
	issuedAt time.Time
}

// draft decides about the tokens of a grant; of a refresh, presented is the token that
// the new one succeeds.
func (i *Issuer) draft(g Grant, presented string) draft {
	now := i.now().UTC()
	d := draft{
		issuedAt: now,
		next:     store.NewRefresh{ID: store.NewIDAt(now), AccessJTI: uuid.NewString(), AccessExpiresAt: now.Add(g.AccessLifetime).Truncate(time.Second)},
	}
	if g.ClientID != identity.FirstPartyClient { // store.ClientBearer finds the row by it
		d.next.AccessJTI = d.next.ID
	}
	if g.stored() {
		secret := newRefreshToken(sharedPart(presented))
		d.next.Hash, d.next.SharedHash, d.next.ExpiresAt = hashOf(secret), hashOfShared(secret), d.next.AccessExpiresAt
		if g.Refresh {
			d.refresh, d.next.ExpiresAt = secret, now.Add(g.RefreshLifetime)
		}
	}
	return d
}

// sign signs the tokens of a committed grant, and remembers the refresh token. A
// failure leaves a committed refresh token that no client has; the user signs in again.
func (i *Issuer) sign(g Grant, d draft, of store.Subject) (Pair, error) {
	i.recent.add(d.next.Hash)
	signer, err := i.keys.Signer(accessAlgorithm(g))
	if err != nil {
		return Pair{}, fmt.Errorf("sign access token: %w", err)
	}
	typ := cmp.Or(g.Typ, jose.TypeJWT)
	body, err := encodeFor(signer, typ, g, i.groups(of.Groups, of.GroupNames), func(g Grant, groups Groups) ([]byte, error) {
		body, err := json.Marshal(i.claims(g, d, of, groups))
		if err == nil && g.client != nil {
			body, err = withMore(body, i.moreClaims(g, of, groups))
		}
		return body, err
	})
	if err != nil {
		return Pair{}, fmt.Errorf("encode claims: %w", err)
	}
	p := Pair{RefreshToken: d.refresh, ExpiresIn: g.AccessLifetime, Scope: g.Scope}
	if p.AccessToken, err = signer.Sign(typ, body); err != nil {
		return Pair{}, fmt.Errorf("sign access token: %w", err)
	}
	if g.identifies() {
		p.IDToken, err = i.idToken(g, d, of, p.AccessToken)
	}
	if err != nil {
		return Pair{}, fmt.Errorf("sign ID token: %w", err)
	}
	return p, nil
}

func (i *Issuer) claims(g Grant, d draft, of store.Subject, groups Groups) claims {
	c := claims{
		Subject: cmp.Or(of.User.ID, g.ClientID), Issuer: i.issuer, Audience: g.Audience,
		IssuedAt: d.issuedAt.Unix(), Expires: d.next.AccessExpiresAt.Unix(),
		ID: d.next.AccessJTI, Session: of.SessionID,
	}
	switch {
	case of.Service.ID != "": // it has neither an address nor groups, and services expect the claims
		c.profile = &profile{Role: string(of.Service.Role), OrgID: of.Service.OrgID, Groups: groups}
	case g.Audience != i.audience:
	case of.User.ID != "":
		c.profile = &profile{Email: of.User.Email, Role: string(of.User.Role), OrgID: of.User.OrgID, Groups: groups}
	case g.client != nil:
		c.profile = &profile{Role: cmp.Or(g.client.Role, string(identity.Viewer)), OrgID: g.client.OrgID, Groups: groups}
	}
	if g.Typ == jose.TypeAccessToken {
		c.rfc9068 = &rfc9068{ClientID: g.ClientID, Scope: g.Scope, ACR: g.ACR, AMR: g.AMR}
		if !g.AuthTime.IsZero() {
			c.AuthTime = g.AuthTime.Unix()
		}
	}
	return c
}

// claims are the claims of an access token, in the order they are written.
// Their names are the contract with every verifier; more may be appended.
type claims struct {
	Subject string `json:"sub"`
	*profile
	Issuer   string `json:"iss"`
	Audience string `json:"aud"` // a plain string: old clients compare it as one
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	ID       string `json:"jti"`
	Session  string `json:"sid,omitempty"`
	*rfc9068
}

// profile holds the claims by which services with the audience of the Issuer decide.
type profile struct {
	Email string `json:"email"` // as displayed
	Role  string `json:"role"`
	OrgID string `json:"org_id"`
	Groups
}

// rfc9068 holds the further claims of RFC 9068.
type rfc9068 struct {
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope,omitempty"`
	AuthTime int64    `json:"auth_time,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
}

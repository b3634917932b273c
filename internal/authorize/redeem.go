package authorize

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Exchange is an authorization code as its client presents it at the token endpoint.
type Exchange struct {
	Code        string
	Client      oauth.Client // authenticated
	RedirectURI string       // empty: none
	Verifier    string       // code_verifier; empty: none
}

// Redemption is what a code grants its client, and how the user was authenticated when
// it was issued. Commit is the transaction of the grant.
type Redemption struct {
	Scope     string   // separated by spaces
	Resources []string // RFC 8707; none: the first audience of the client
	Claims    string   // the parameter claims (OpenID Connect Core 5.5), JSON; empty: none
	Nonce     string
	SessionID string
	AuthTime  time.Time
	AMR       []string
	ACR       string
	Commit    func(ctx context.Context, first *store.NewFamily) (store.Subject, error)
}

// errInvalidCode is the refusal of every code that is not the client's to use now.
func errInvalidCode(cause error) error {
	return &oauth.Error{Code: oauth.InvalidGrant, Description: "the code is unknown, was used, or has expired", Cause: cause}
}

// Redeem returns what the code grants: it is bound to the client, the redirect URI, the
// code challenge and the session of its authorization request. It is used by Commit,
// once; a second use ends what was issued from the first (RFC 6749 section 4.1.2). Every
// refusal is invalid_grant.
func (q *Requests) Redeem(ctx context.Context, by identity.Actor, e Exchange) (Redemption, error) {
	hash := Secret(e.Code).hash()
	if hash == "" {
		return Redemption{}, errInvalidCode(store.ErrNoCode)
	}
	c, err := q.store.Code(ctx, hash)
	switch {
	case errors.Is(err, store.ErrNoCode):
		return Redemption{}, errInvalidCode(err)
	case err != nil:
		return Redemption{}, fmt.Errorf("read code: %w", err)
	case c.Request.ClientID != e.Client.ID:
		return Redemption{}, errInvalidCode(errors.New("the code was issued to another client"))
	case e.RedirectURI != c.Request.RedirectURI && (e.RedirectURI != "" || !c.Request.Implied): // RFC 6749 section 4.1.3
		return Redemption{}, oauth.Refuse(oauth.InvalidGrant, "redirect_uri is not that of the authorization request")
	}
	if err := oauth.CheckVerifier(c.Request.CodeChallenge, e.Verifier); err != nil {
		return Redemption{}, err
	}
	redemption := Redemption{
		Scope: c.Request.Scope, Resources: c.Request.Resources, Claims: c.Request.Claims.Encode(), Nonce: c.Request.Nonce,
		SessionID: c.SessionID, AuthTime: c.AuthTime, AMR: c.Methods, ACR: c.ACR,
	}
	redemption.Commit = func(ctx context.Context, first *store.NewFamily) (store.Subject, error) {
		of, err := q.store.UseCode(ctx, by, store.CodeUse{Hash: hash, Code: c, May: mayRedeem}, first)
		if errors.Is(err, store.ErrNoCode) || errors.Is(err, store.ErrCodeReuse) || errors.Is(err, identity.ErrInvalidToken) {
			err = errInvalidCode(err)
		}
		return of, err
	}
	if c.Used { // nothing is minted for it: what was issued ends now
		_, err := redemption.Commit(ctx, nil)
		return Redemption{}, err
	}
	return redemption, nil
}

// mayRedeem decides with the client and the user as they are now.
func mayRedeem(a store.Authorization) error {
	switch {
	case !MayUse(a.Client, a.User, a.Groups):
		return errInvalidCode(errors.New("the user may not use the client"))
	case asksUser(a.Client, a.Request) && len(oauth.MissingScopes(a.Request.Allowance(a.Client), a.Granted)) > 0:
		return errInvalidCode(errors.New("the consent was withdrawn"))
	default:
		return nil
	}
}

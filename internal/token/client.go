package token

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// The lifetime of refresh tokens of registered clients: unused, and of the family with
// offline_access. Without offline_access the session ends both.
const (
	clientIdle = 30 * 24 * time.Hour
	offlineMax = 90 * 24 * time.Hour
)

// Granted is what a user allowed a client, and how they were authenticated then.
type Granted = store.Granted

// ClientRequest is a token request of a registered client that is authenticated.
type ClientRequest struct {
	Client    oauth.Client
	Scope     string   // asked for, separated by spaces; empty: all that was granted
	Resources []string // asked for (RFC 8707); none: as granted
}

// Authorization is what a user has decided about a client with a code, and the
// transaction that uses it.
type Authorization struct {
	Granted
	Nonce  string
	Commit Commit
}

// MintForClient returns the tokens of a client for what a user has allowed it.
func (i *Issuer) MintForClient(ctx context.Context, r ClientRequest, a Authorization) (Pair, error) {
	g, err := i.clientGrant(r, a.Granted)
	if err != nil {
		return Pair{}, err
	}
	g.Nonce, g.Refresh, g.limit = a.Nonce, r.Client.Allows(oauth.GrantRefresh), i.familiesPerUser
	if has(a.Scope, oauth.ScopeOfflineAccess) {
		g.End = i.now().UTC().Add(offlineMax)
	}
	return i.Mint(ctx, g, a.Commit)
}

// ClientCredentials returns an access token for the client itself, RFC 6749 section
// 4.4. Nothing is stored: it is refused from the client's NotBefore on.
func (i *Issuer) ClientCredentials(ctx context.Context, by identity.Actor, r ClientRequest) (Pair, error) {
	scope, err := oauth.OwnScope(r.Client, r.Scope)
	if err != nil {
		return Pair{}, err
	}
	r.Scope = ""
	g, err := i.clientGrant(r, Granted{Scope: scope})
	if err != nil {
		return Pair{}, err
	}
	g.granted = nil
	pair, err := i.Mint(ctx, g, func(context.Context, *store.NewFamily) (store.Subject, error) { return store.Subject{}, nil })
	if err != nil {
		return Pair{}, err
	}
	by.Kind, by.ID = identity.ActorClient, r.Client.ID
	i.audit.Logged(ctx, store.Act{Action: identity.ActionClientToken, By: by}, r.Client.ID, r.Client.OrgID)
	return pair, nil
}

// RotateForClient is Rotate for a refresh token of a registered client. The scope of
// the access token may be narrower than what was granted, and never wider (RFC 6749
// section 6); the family keeps what was granted.
func (i *Issuer) RotateForClient(ctx context.Context, by identity.Actor, r ClientRequest, presented string) (Pair, error) {
	g, err := i.clientGrant(ClientRequest{Client: r.Client}, Granted{}) // what is needed before the family is known
	if err != nil {
		return Pair{}, err
	}
	g.Refresh = true
	admit := func(of store.Subject) error {
		admitted, err := i.clientGrant(r, *of.Granted)
		if admitted.Refresh = true; err == nil && admitted.identifies() {
			_, err = i.keys.Signer(idAlgorithm(r.Client)) // otherwise the token is used for nothing
		}
		g = admitted
		return err
	}
	grace := min(time.Duration(r.Client.RefreshReuseGrace)*time.Second, store.MaxReuseGrace)
	pair, err := i.rotate(ctx, by, presented, grace, &g, admit)
	if err != nil && !isRefusal(err) {
		err = fmt.Errorf("refresh of client %s: %w", r.Client.ID, err)
	}
	return pair, err
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[*oauth.Error](err)
	return ok
}

// clientGrant is the grant of a client's token request for what was granted. An error is
// an *oauth.Error.
func (i *Issuer) clientGrant(r ClientRequest, granted Granted) (Grant, error) {
	scope, err := oauth.NarrowScope(r.Client, granted.Scope, r.Scope)
	if err != nil {
		return Grant{}, err
	}
	audience, err := oauth.Audience(r.Client, i.issuer, scope, strings.Fields(granted.Audience), r.Resources)
	if err != nil {
		return Grant{}, err
	}
	return Grant{
		ClientID: r.Client.ID, Scope: scope, Audience: audience, Typ: jose.TypeAccessToken,
		AccessLifetime:  time.Duration(r.Client.AccessTokenLifetime) * time.Second,
		RefreshLifetime: orDefault(time.Duration(r.Client.RefreshTokenLifetime)*time.Second, clientIdle),
		AuthTime:        granted.AuthTime, AMR: granted.AMR, ACR: granted.ACR,
		client: &r.Client, granted: &granted,
	}, nil
}

func has(scope, one string) bool { return strings.Contains(" "+scope+" ", " "+one+" ") }

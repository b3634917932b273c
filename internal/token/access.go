package token

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// earliest is how far in the future the iat of a token may be: the clocks of replicas
// differ.
const earliest = 30 * time.Second

// Access is what an access token of this server says, of whatever client and audience.
type Access struct {
	Subject   string // the user; of client credentials the client
	ClientID  string // empty: the first-party client
	SessionID string // empty: none
	ID        string
	Scope     string // separated by spaces
	Audience  string
	IssuedAt  time.Time
	ExpiresAt time.Time
	AuthTime  int64 // 0: not named
	ACR       string
}

// Holder is who presents a valid access token.
type Holder struct {
	User       identity.User // zero: client credentials, or an exchanged service token
	Groups     []string      // of the user, ids; only where the token is of a client
	GroupNames []string      // in the order of Groups; nil for GroupIDs
	Claims     string        // what the client asked for of userinfo, the parameter claims; empty: nothing

	Client  oauth.Client          // zero: the first-party client, or an exchanged service token
	Service identity.ServiceToken // that was exchanged; zero: none was
}

// GroupsOf are all groups of the user who holds a client's token, as claims have them.
func (i *Issuer) GroupsOf(h Holder) Groups { return i.groups(h.Groups, h.GroupNames) }

// OrgID is the organization of the holder; empty: a client of all organizations.
func (h Holder) OrgID() string {
	switch {
	case h.User.ID != "":
		return h.User.OrgID
	case h.Service.ID != "":
		return h.Service.OrgID
	default:
		return h.Client.OrgID
	}
}

// Role is what the holder may do in general: of a user through a client, the weaker one
// of both roles.
func (h Holder) Role() identity.Role {
	client := identity.Principal{Role: identity.Role(h.Client.Role)}
	switch {
	case h.User.ID == "" && h.Service.ID != "":
		return h.Service.Role
	case h.User.ID == "":
		return client.Role
	case h.Client.ID == "":
		return h.User.Role
	default:
		return h.User.Principal().Through(client).Role
	}
}

// Verify returns what an access token says whose signature is ours and that has not
// expired; otherwise it is identity.ErrInvalidToken. Tokens of other types, as ID tokens
// and logout tokens, are no access tokens. Whether it was revoked is the question of Holder.
func (i *Issuer) Verify(ctx context.Context, token string) (Access, error) {
	var failed error
	payload, h, err := i.known.Verify(token, func(h jose.Header) (*jose.PublicKey, error) {
		key := i.keys.Published().Key(h.KeyID)
		if key == nil {
			failed = i.keys.Recheck(ctx) // another replica may have made it
			key = i.keys.Published().Key(h.KeyID)
		}
		return key, nil
	})
	if failed != nil {
		return Access{}, fmt.Errorf("verify access token: %w", failed)
	}
	if err != nil {
		return Access{}, store.InvalidToken(err)
	}
	claims, err := jose.ParseObject(payload)
	if err != nil {
		return Access{}, store.InvalidToken(err)
	}
	a, ok := accessOf(claims)
	now := i.now()
	switch {
	case !ok, claims["iss"] != i.issuer, !now.Before(a.ExpiresAt), a.IssuedAt.After(now.Add(earliest)):
		return Access{}, identity.ErrInvalidToken
	case h.Type == jose.TypeAccessToken && a.ClientID == "":
		return Access{}, identity.ErrInvalidToken
	case h.Type == jose.TypeJWT && (a.ClientID != "" || a.Audience != i.audience):
		return Access{}, identity.ErrInvalidToken
	}
	return a, nil
}

// accessOf reads the claims, and reports whether they are those of an access token.
func accessOf(claims map[string]any) (a Access, ok bool) {
	for _, name := range []string{"nonce", "at_hash", "c_hash", "events"} {
		if _, there := claims[name]; there {
			return a, false // of an ID token, or of a logout token
		}
	}
	text := func(name string) string {
		s, _ := claims[name].(string)
		return s
	}
	date := func(name string) time.Time {
		number, _ := claims[name].(json.Number)
		seconds, err := number.Int64()
		if err != nil {
			return time.Time{}
		}
		return time.Unix(seconds, 0)
	}
	a = Access{
		Subject: text("sub"), ClientID: text("client_id"), SessionID: text("sid"), ID: text("jti"), Scope: text("scope"),
		Audience: text("aud"), IssuedAt: date("iat"), ExpiresAt: date("exp"), ACR: text("acr"),
	}
	if at := date("auth_time"); !at.IsZero() {
		a.AuthTime = at.Unix()
	}
	return a, a.Subject != "" && a.ID != "" && a.Audience != "" && !a.IssuedAt.IsZero()
}

// Holder returns who presents an access token that Verify accepted, as the database has
// it now; identity.ErrInvalidToken when the token was revoked, when its client may not
// use it any more, or when the user may not.
func (i *Issuer) Holder(ctx context.Context, a Access) (h Holder, err error) {
	switch a.ClientID {
	case "":
		var u *identity.User
		if u, err = i.Bearer(ctx, Presented{UserID: a.Subject, SessionID: a.SessionID, ID: a.ID}); err == nil {
			h.User = *u
		}
	case a.Subject:
		h, err = i.clientItself(ctx, a)
	default:
		h, err = i.throughClient(ctx, a)
	}
	if fault.KindOf(err) == fault.NotFound {
		err = identity.ErrInvalidToken
	}
	if err != nil {
		return Holder{}, fmt.Errorf("read the holder of an access token: %w", err)
	}
	return h, nil
}

// throughClient is Holder for a token that a client holds of a user.
func (i *Issuer) throughClient(ctx context.Context, a Access) (Holder, error) {
	b, err := i.store.ClientBearer(ctx, store.ClientToken{ClientID: a.ClientID, UserID: a.Subject, SessionID: a.SessionID, ID: a.ID})
	if err != nil {
		return Holder{}, err
	}
	if b.Ended || !issuedBy(b.Client, a) || !identity.CanUseClient(b.User, b.Groups, store.ClientPolicy(b.Client)) {
		return Holder{}, identity.ErrInvalidToken
	}
	return Holder{User: b.User, Groups: b.Groups, GroupNames: b.GroupNames, Claims: b.Claims, Client: b.Client}, nil
}

// clientItself is Holder for client credentials, and for an exchanged service token.
// Neither has a row of its own.
func (i *Issuer) clientItself(ctx context.Context, a Access) (Holder, error) {
	c, err := i.store.Client(ctx, a.ClientID)
	switch {
	case err == nil && issuedBy(c, a):
		return Holder{Client: c}, nil
	case err == nil:
		return Holder{}, identity.ErrInvalidToken
	case fault.KindOf(err) != fault.NotFound:
		return Holder{}, err
	}
	t, err := i.store.ServiceToken(ctx, identity.Actor{Kind: identity.ActorServiceToken, ID: a.ClientID})
	if err == nil && !identity.CanUseServiceToken(t, i.now()) {
		err = identity.ErrInvalidToken
	}
	return Holder{Service: t}, err
}

// issuedBy reports whether the client may still use what it was issued. The time of
// issue is a whole second: a token of the second in which the tokens of the client were
// revoked is refused, whether it was issued before or after that.
func issuedBy(c oauth.Client, a Access) bool {
	return !c.Suspended && !a.IssuedAt.Before(c.NotBefore)
}

// RevokeOf ends the family of a token that the client presents to be revoked (RFC 7009).
// It does nothing about a token that is invalid or another client's, and about one of
// client credentials, which has no family: it ends with the tokens of its client.
func (i *Issuer) RevokeOf(ctx context.Context, by identity.Actor, clientID, presented string) error {
	act := store.Act{Action: identity.ActionRevokeToken, By: by}
	a, err := i.Verify(ctx, presented)
	switch {
	case err == nil && a.ClientID == clientID && a.Subject != clientID:
		err = i.store.RevokeAccess(ctx, act, store.ClientToken{ClientID: clientID, UserID: a.Subject, SessionID: a.SessionID, ID: a.ID})
	case err == nil:
		return nil
	case fault.KindOf(err) == fault.Unauthenticated: // not an access token
		var p store.PresentedRefresh
		if p, err = i.Locate(clientID, presented); err == nil {
			err = i.store.RevokeRefresh(ctx, act, p)
		}
		if err = i.Limited(ctx, by, err); fault.KindOf(err) == fault.Unauthenticated {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	return nil
}

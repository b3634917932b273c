package client

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Detail is what an administrator sees of a client.
type Detail = store.ClientDetail

// Secret is a secret of a client, without the secret.
type Secret = store.ClientSecret

// Page is one page of a list of clients.
type Page = store.Page[oauth.Client]

// Filter narrows a list.
type Filter struct {
	OrgID  string // for superadmins; empty: all clients
	Limit  int    // 0: the maximum
	Cursor string // Next of the previous page; empty: the first page
}

// Create registers a client with these settings and the defaults of its kind, and
// returns it with its secret, which is not shown again; empty: it has none.
func (c *Clients) Create(ctx context.Context, by identity.Actor, s oauth.Settings) (created oauth.Client, secret string, err error) {
	n, problems := oauth.NewClient(s)
	if n.ID != "" {
		problems = append(problems, oauth.Problem{Field: "client_id", Message: "client_id is chosen by the server, except for clients of the configuration"})
	}
	if err := c.check(&n, problems); err != nil {
		return oauth.Client{}, "", err
	}
	n.ID = store.NewID()
	hash := ""
	if n.HasSecret() {
		secret = newSecret()
		hash = hashOf(secret)
	}
	act := store.Act{Action: identity.ActionCreateClient, By: by, Detail: n.Name}
	err = c.throttle.NewClient(ctx, by, func() (made bool, err error) {
		created, err = c.store.InsertClient(ctx, act, n, hash, c.may)
		return err == nil, err
	})
	if err := c.ended(ctx, act, "", err); err != nil {
		return oauth.Client{}, "", err
	}
	return created, secret, nil
}

// may is the store.ClientRule of all changes.
func (c *Clients) may(actor identity.Principal, of oauth.Client) error {
	return identity.MayManageClients(actor, identity.ClientRights{
		OrgID: of.OrgID, Role: identity.Role(cmp.Or(of.Role, string(identity.Viewer))),
		Privileged: of.FirstParty || slices.Contains(of.Scopes, oauth.ScopeAccount) || slices.Contains(of.Scopes, oauth.ScopeAdmin) ||
			slices.Contains(of.Audiences, c.audience) || len(of.Audiences) == 0 && c.issuer == c.audience,
	})
}

// Show returns a client that the actor administers.
func (c *Clients) Show(ctx context.Context, by identity.Actor, id string) (Detail, error) {
	if !identity.ValidID(id) {
		return Detail{}, identity.ErrNoClient
	}
	d, err := c.store.ClientDetail(ctx, by, id)
	if err != nil {
		return Detail{}, fmt.Errorf("read client: %w", err)
	}
	return d, nil
}

// List lists the clients that the actor administers, first created first.
func (c *Clients) List(ctx context.Context, by identity.Actor, f Filter) (Page, error) {
	switch {
	case f.Limit < 0 || f.Limit > store.MaxPage:
		return Page{}, fault.BadField("limit", fmt.Sprintf("limit must be from 1 to %d", store.MaxPage))
	case !identity.Storable(f.OrgID):
		return Page{Items: []oauth.Client{}}, nil
	}
	page, err := c.store.Clients(ctx, by, store.ClientFilter(f))
	if err != nil {
		return Page{}, fmt.Errorf("list clients: %w", err)
	}
	return page, nil
}

// Update changes fields of a client; status, active or suspended, is one of them. A
// suspension ends all that the client holds. One that newly has tokens without a user gets
// the role viewer for them unless another is among the fields. A client of the configuration is changed
// there: Conflict "declared_client".
func (c *Clients) Update(ctx context.Context, by identity.Actor, id string, s oauth.Settings) (oauth.Client, error) {
	if !identity.ValidID(id) {
		return oauth.Client{}, identity.ErrNoClient
	}
	changed := slices.Sorted(maps.Keys(s))
	s = maps.Clone(s)
	status, hasStatus := s["status"].(string)
	if _, given := s["status"]; given {
		if delete(s, "status"); !hasStatus || !identity.Status(status).Valid() {
			return oauth.Client{}, fault.BadField("status", "status must be one of active, suspended")
		}
	}
	if err := c.throttle.Change(ctx, by); err != nil {
		return oauth.Client{}, err
	}
	change := store.ClientChange{Status: identity.Status(status)}
	if len(s) > 0 {
		change.Of = func(before oauth.Client) (oauth.Client, error) {
			if before.Declared {
				return oauth.Client{}, errDeclared
			}
			after, problems := before.With(s)
			if _, given := s["role"]; !given && after.Allows(oauth.GrantClientCredentials) && !before.Allows(oauth.GrantClientCredentials) {
				after.Role = string(identity.Viewer) // as in a new one: the role was for tokens of users
			}
			err := c.check(&after, problems)
			return after, err
		}
	}
	act := store.Act{Action: identity.ActionUpdateClient, By: by, Detail: strings.Join(changed, ", ")}
	if hasStatus {
		act.Detail = strings.Replace(act.Detail, "status", "status "+status, 1)
	}
	updated, err := c.store.UpdateClient(ctx, act, id, change, c.may)
	if err := c.ended(ctx, act, id, err); err != nil {
		return oauth.Client{}, err
	}
	return updated, nil
}

var errDeclared = fault.New(fault.Conflict, "declared_client", "the client is declared in the configuration: change it there, under clients")

// Delete removes a client and ends all that it holds.
func (c *Clients) Delete(ctx context.Context, by identity.Actor, id string) error {
	return c.act(ctx, store.Act{Action: identity.ActionDeleteClient, By: by}, id, func(act store.Act) error {
		return c.store.DeleteClient(ctx, act, id, c.may)
	})
}

// RevokeTokens ends all tokens that a client holds. Access tokens that other services
// accept by their signature alone are valid until they expire.
func (c *Clients) RevokeTokens(ctx context.Context, by identity.Actor, id string) error {
	return c.act(ctx, store.Act{Action: identity.ActionRevokeClientTokens, By: by}, id, func(act store.Act) error {
		return c.store.RevokeClientTokens(ctx, act, id, c.may)
	})
}

// AddSecret gives a client a further secret and returns it; it is not shown again. The
// previous one stays valid, so that the client can be changed over, and one before that
// is removed. revoke removes all previous ones, and ends all tokens.
func (c *Clients) AddSecret(ctx context.Context, by identity.Actor, id string, revoke bool) (added Secret, secret string, err error) {
	act := store.Act{Action: identity.ActionAddClientSecret, By: by}
	if revoke {
		act.Detail = "revoke"
	}
	secret = newSecret()
	err = c.act(ctx, act, id, func(act store.Act) error {
		added, err = c.store.AddClientSecret(ctx, act, id, hashOf(secret), revoke, c.mayRotate)
		return err
	})
	if err != nil {
		return Secret{}, "", err
	}
	return added, secret, nil
}

// RemoveSecret removes one of two secrets.
func (c *Clients) RemoveSecret(ctx context.Context, by identity.Actor, id, secretID string) error {
	return c.act(ctx, store.Act{Action: identity.ActionRemoveClientSecret, By: by, Detail: secretID}, id, func(act store.Act) error {
		return c.store.RemoveClientSecret(ctx, act, id, secretID, c.mayRotate)
	})
}

// mayRotate is may for the secrets: those of a declared client are in its configuration.
func (c *Clients) mayRotate(actor identity.Principal, of oauth.Client) error {
	if err := c.may(actor, of); err != nil {
		return err
	}
	if of.Declared {
		return errDeclared
	}
	return nil
}

func (c *Clients) act(ctx context.Context, act store.Act, id string, do func(store.Act) error) error {
	if !identity.ValidID(id) || !identity.Storable(act.Detail) {
		return identity.ErrNoClient
	}
	if err := c.throttle.Change(ctx, act.By); err != nil {
		return err
	}
	return c.ended(ctx, act, id, do(act))
}

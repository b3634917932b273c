package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Declared is a client of the configuration.
type Declared struct {
	Settings oauth.Settings // with client_id
	Secret   string         // empty: none
}

// CheckDeclared returns what is wrong with clients of the configuration, by their place
// in the list. It needs no store.
func (c *Clients) CheckDeclared(all []Declared) (wrong map[int][]fault.Field) {
	wrong = map[int][]fault.Field{}
	var ids []string
	for i, d := range all {
		n, err := c.checkDeclared(d)
		if f, bad := errors.AsType[*fault.Error](err); bad {
			wrong[i] = f.Fields
		}
		if slices.Contains(ids, n.ID) && n.ID != "" {
			wrong[i] = append(wrong[i], fault.Field{Name: "client_id", Message: "client_id is of another entry too"})
		}
		ids = append(ids, n.ID)
	}
	return wrong
}

func (c *Clients) checkDeclared(d Declared) (oauth.Client, error) {
	n, problems := oauth.NewClient(d.Settings)
	if !oauth.ValidClientID(n.ID) || n.ID == c.audience {
		problems = append(problems, oauth.Problem{
			Field: "client_id", Message: "client_id must be 1 to 36 letters, digits, dots, hyphens and underscores, and not auth.audience",
		})
	}
	if n.HasSecret() != (d.Secret != "") {
		problems = append(problems, oauth.Problem{
			Field: "client_secret", Message: "client_secret must be given with the methods client_secret_basic and client_secret_post, and with no other",
		})
	}
	n.Declared = true
	err := c.check(&n, problems)
	return n, err
}

// Declare makes the clients of the configuration what it says, and returns the ids of
// those that it declared before and does not declare any more: they stay, and are
// changed like others from now on. It writes only what differs. Only the declared secret
// of a client is valid.
func (c *Clients) Declare(ctx context.Context, all []Declared) (released []string, err error) {
	act := store.Act{By: identity.Actor{Kind: identity.ActorSystem}, Detail: "declared in the configuration"}
	before, err := c.store.DeclaredClients(ctx)
	if err != nil {
		return nil, fmt.Errorf("read declared clients: %w", err)
	}
	for _, d := range all {
		n, err := c.checkDeclared(d)
		if err != nil {
			return nil, fmt.Errorf("client %s: %w", n.ID, err)
		}
		delete(before, n.ID)
		hash := ""
		if d.Secret != "" {
			hash = hashOf(d.Secret)
		}
		if err := c.store.DeclareClient(ctx, act, n, hash); err != nil {
			return nil, fmt.Errorf("client %s: %w", n.ID, err)
		}
	}
	for id := range before {
		released = append(released, id)
		act := act
		act.Action, act.Detail = identity.ActionUpdateClient, "not declared in the configuration any more"
		change := store.ClientChange{Of: func(of oauth.Client) (oauth.Client, error) {
			of.Declared = false
			return of, nil
		}}
		if _, err := c.store.UpdateClient(ctx, act, id, change, c.may); err != nil && fault.KindOf(err) != fault.NotFound {
			return nil, fmt.Errorf("client %s: %w", id, err)
		}
	}
	slices.Sort(released)
	return released, nil
}

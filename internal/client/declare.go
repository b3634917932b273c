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
// of a client is valid. When clients are wrong nothing changes, and wrong has everything,
// by their place in the list.
func (c *Clients) Declare(ctx context.Context, all []Declared) (released []string, wrong map[int][]fault.Field, err error) {
	if wrong = c.CheckDeclared(all); len(wrong) > 0 {
		return nil, wrong, nil
	}
	declared := make([]store.DeclaredClient, len(all))
	for i, d := range all {
		if declared[i].Client, err = c.checkDeclared(d); err != nil {
			return nil, nil, err
		}
		if d.Secret != "" {
			declared[i].SecretHash = hashOf(d.Secret)
		}
	}
	act := store.Act{By: identity.Actor{Kind: identity.ActorSystem}, Detail: "declared in the configuration"}
	released, refused, err := c.store.DeclareClients(ctx, act, declared)
	if err != nil {
		return nil, nil, fmt.Errorf("declare clients: %w", err)
	}
	for i, err := range refused {
		bad, _ := errors.AsType[*fault.Error](err)
		if wrong[i] = bad.Fields; wrong[i] == nil {
			wrong[i] = []fault.Field{{Name: "client_id", Message: bad.Message}}
		}
	}
	return released, wrong, nil
}

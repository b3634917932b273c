package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store"
)

type userSetEmailCmd struct {
	userArg
	Email string `field:"email" arg:"" name:"new-address" help:"The new e-mail address."`
	JSON  bool   `help:"Print JSON."`
}

// Help is the end of `pico-auth user set-email --help`.
func (userSetEmailCmd) Help() string {
	return `Ends all sessions of the user. It also works on a database whose migration is refused because two users have one address, and leaves its schema as it is; name the user by the ID then.

Examples:

    pico-auth user set-email ada@example.com ada.lovelace@example.com
    pico-auth user set-email 0198a7e2-5a54-7c3e-9b1d-3f2c4e5a6b7c new@example.com`
}

// Run changes an address.
func (c userSetEmailCmd) Run(sh *shell) error {
	err := c.change(sh, c.JSON, func(ctx context.Context, d *directory.Directory, id string) (identity.User, error) {
		return d.Update(ctx, operator(), id, directory.UserChange{Email: &c.Email})
	})
	if refused, ok := errors.AsType[*fault.Error](err); ok && refused.Code == store.ErrEmailCollision {
		return c.resolve(sh)
	}
	return err
}

// resolve changes the address in a database that cannot be migrated before.
func (c userSetEmailCmd) resolve(sh *shell) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	email, err := identity.ParseEmail(c.Email)
	if err != nil {
		return err
	}
	act := store.Act{Action: identity.ActionUpdateUser, By: operator(), Detail: "email"}
	if err := store.ResolveEmail(context.Background(), server.StoreConfig(cfg, sh.log()), act, c.User, email); err != nil {
		return err
	}
	return sh.say("the address of %s is %s; the schema of the database was not changed\n", printable(c.User), printable(email))
}

type userDeleteCmd struct {
	userArg
	tokenDecision
	Yes bool `help:"Do not ask for confirmation."`
}

// Help is the end of `pico-auth user delete --help`.
func (userDeleteCmd) Help() string {
	return `Deletes the user with all sessions and memberships. The ID is never used again.

Example:

    pico-auth user delete ada@example.com`
}

// Run deletes a user.
func (c userDeleteCmd) Run(sh *shell) error {
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		id, err := c.find(ctx, services)
		if err != nil {
			return err
		}
		s, err := services.Directory.User(ctx, operator(), id)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s (%s)", printable(s.Email), printable(s.ID))
		if !c.Yes {
			err := sh.sure(fmt.Sprintf("%s is %s in %s, with %d sessions and %d groups.\nType yes to delete the user: ",
				name, s.Role, printable(s.OrgID), s.Sessions, len(s.Groups)), "--yes deletes without asking")
			if err != nil {
				return err
			}
		}
		if err := services.Directory.Delete(ctx, operator(), id, c.ServiceTokens); err != nil {
			return err
		}
		return sh.say("%s is deleted\n", name)
	})
}

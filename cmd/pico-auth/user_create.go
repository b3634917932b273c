package main

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/server"
)

type userCreateCmd struct {
	Email       string `arg:"" help:"E-mail address."`
	Role        string `enum:"viewer,operator,org_admin,superadmin" default:"viewer" help:"One of ${enum}."`
	Org         string `default:"default" placeholder:"ID" help:"Its organization (${default}); it is created if it does not exist."`
	DisplayName string `help:"Name to show."`
	Verified    bool   `name:"email-verified" help:"The user receives mail at the address; several clients refuse users without this."`
	JSON        bool   `help:"Print JSON."`
}

// Help is the end of `pico-auth user create --help`.
func (userCreateCmd) Help() string {
	return `Examples:

    pico-auth user create ada@example.com --role operator
    pwgen 20 1 | tee secret.txt | pico-auth user create robot@example.com --json`
}

// Run creates a user.
func (c userCreateCmd) Run(sh *shell) error {
	password, err := sh.password("Password of " + printable(c.Email))
	if err != nil {
		return err
	}
	return sh.with(func(ctx context.Context, services *server.Services) error {
		user, err := services.Directory.CreateUser(ctx, operator(), directory.NewUser{
			Email: c.Email, Password: password, DisplayName: c.DisplayName, Role: c.Role, OrgID: c.Org, EmailVerified: c.Verified,
		})
		if err != nil {
			return err
		}
		return sh.user(user, c.JSON)
	})
}

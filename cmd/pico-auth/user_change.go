package main

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/server"
)

type userSetRoleCmd struct {
	userArg
	Role string `arg:"" enum:"viewer,operator,org_admin,superadmin" help:"One of ${enum}."`
	tokenDecision
	JSON bool `help:"Print JSON."`
}

// Help is the end of `pico-auth user set-role --help`.
func (userSetRoleCmd) Help() string {
	return `Example:

    pico-auth user set-role ada@example.com org_admin`
}

// Run changes a role.
func (c userSetRoleCmd) Run(sh *shell) error {
	return c.change(sh, c.JSON, func(ctx context.Context, d *directory.Directory, id string) (identity.User, error) {
		return d.SetRole(ctx, operator(), id, c.Role, c.ServiceTokens)
	})
}

type userSuspendCmd struct {
	userArg
	tokenDecision
	JSON bool `help:"Print JSON."`
}

// Help is the end of `pico-auth user suspend --help`.
func (userSuspendCmd) Help() string {
	return `A running server refuses the next request of the user.

Example:

    pico-auth user suspend ada@example.com`
}

// Run suspends a user.
func (c userSuspendCmd) Run(sh *shell) error {
	return c.change(sh, c.JSON, func(ctx context.Context, d *directory.Directory, id string) (identity.User, error) {
		return d.SetStatus(ctx, operator(), id, string(identity.Suspended), c.ServiceTokens)
	})
}

type userActivateCmd struct {
	userArg
	JSON bool `help:"Print JSON."`
}

// Help is the end of `pico-auth user activate --help`.
func (userActivateCmd) Help() string {
	return `Example:

    pico-auth user activate ada@example.com`
}

// Run activates a user.
func (c userActivateCmd) Run(sh *shell) error {
	return c.change(sh, c.JSON, func(ctx context.Context, d *directory.Directory, id string) (identity.User, error) {
		return d.SetStatus(ctx, operator(), id, string(identity.Active), "")
	})
}

type userResetPasswordCmd struct {
	userArg
}

// Help is the end of `pico-auth user reset-password --help`.
func (userResetPasswordCmd) Help() string {
	return `The password is prompted for, or read from standard input. Use it as well when the last superadmin has lost the password.

Examples:

    pico-auth user reset-password ada@example.com
    pico-auth user reset-password admin@pico.local < new-password.txt`
}

// Run sets a password.
func (c userResetPasswordCmd) Run(sh *shell) error {
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		id, err := c.find(ctx, services)
		if err != nil {
			return err
		}
		u, err := services.Directory.User(ctx, operator(), id)
		if err != nil {
			return err
		}
		password, err := sh.password("New password of " + printable(u.Email))
		if err != nil {
			return err
		}
		if err := services.Directory.ResetPassword(ctx, operator(), id, password); err != nil {
			return err
		}
		return sh.say("the password is set and all sessions of the user have ended\n")
	})
}

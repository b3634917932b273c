package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store"
)

type userCmd struct {
	Create        userCreateCmd        `cmd:"" help:"Create a user; the password is prompted for, or read from standard input."`
	List          userListCmd          `cmd:"" help:"List users."`
	Show          userShowCmd          `cmd:"" help:"Show a user, and why a login is refused."`
	SetRole       userSetRoleCmd       `cmd:"" help:"Change the role of a user; this ends the user's sessions."`
	Suspend       userSuspendCmd       `cmd:"" help:"Suspend a user; this ends the user's sessions."`
	Activate      userActivateCmd      `cmd:"" help:"Activate a suspended user."`
	ResetPassword userResetPasswordCmd `cmd:"" help:"Set the password of a user; this ends the user's sessions."`
	SetEmail      userSetEmailCmd      `cmd:"" help:"Change the e-mail address of a user; this ends the user's sessions."`
	Update        userUpdateCmd        `cmd:"" help:"Say that the address of a user is verified, or set the metadata that clients get claims of."`
	Delete        userDeleteCmd        `cmd:"" help:"Delete a user."`
}

// userArg names a user on the command line.
type userArg struct {
	User string `arg:"" help:"E-mail address or ID."`
}

// tokenDecision decides about the service tokens of a user.
type tokenDecision struct {
	ServiceTokens identity.TokenDecision `enum:",revoke,keep" default:"" placeholder:"revoke|keep" help:"What happens to the service tokens that the user owns: they are revoked, or kept without an owner."`
}

// find returns the user's ID. An address takes precedence over an ID, because
// old databases hold addresses without @.
func (a userArg) find(ctx context.Context, services *server.Services) (string, error) {
	page, err := services.Directory.Users(ctx, operator(), directory.Filter{Email: a.User})
	if err != nil {
		return "", err
	}
	if len(page.Items) == 1 {
		return page.Items[0].ID, nil
	}
	if !identity.ValidID(a.User) {
		return "", identity.ErrNoUser
	}
	return a.User, nil
}

// change runs verb on the user and prints the changed user.
func (a userArg) change(sh *shell, asJSON bool, verb func(context.Context, *directory.Directory, string) (identity.User, error)) error {
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		id, err := a.find(ctx, services)
		if err != nil {
			return err
		}
		before, err := services.Directory.User(ctx, operator(), id)
		if err != nil {
			return err
		}
		user, err := verb(ctx, services.Directory, id)
		switch {
		case err != nil:
			return err
		case asJSON:
			return sh.json(asUserJSON(user))
		}
		after, err := services.Directory.User(ctx, operator(), id)
		if err != nil {
			return err
		}
		return sh.changed(asUser(after.User), changeable(before), changeable(after))
	})
}

// changeable are the rows of a user that commands change.
func changeable(s store.Standing) [][]string {
	return [][]string{
		{"e-mail", s.Email},
		{"e-mail verified", strconv.FormatBool(s.EmailVerified)},
		{"role", string(s.Role)},
		{"status", string(s.Status)},
		{"metadata", s.Metadata},
		{"sessions", strconv.Itoa(s.Sessions)},
	}
}

// userJSON has the field names of the API.
type userJSON struct {
	ID          string  `json:"id"`
	Email       string  `json:"email"`
	DisplayName string  `json:"display_name"`
	Role        string  `json:"role"`
	OrgID       string  `json:"org_id"`
	Status      string  `json:"status"`
	CreatedAt   string  `json:"created_at"`
	LastLoginAt *string `json:"last_login_at"`
	Verified    bool    `json:"email_verified"`
}

func asUserJSON(u identity.User) userJSON {
	j := userJSON{
		ID: u.ID, Email: u.Email, DisplayName: u.DisplayName, Role: string(u.Role),
		OrgID: u.OrgID, Status: string(u.Status), CreatedAt: u.CreatedAt.UTC().Format(time.RFC3339Nano), Verified: u.EmailVerified,
	}
	if !u.LastLoginAt.IsZero() {
		at := u.LastLoginAt.UTC().Format(time.RFC3339Nano)
		j.LastLoginAt = &at
	}
	return j
}

// user prints one user.
func (sh *shell) user(u identity.User, asJSON bool) error {
	if asJSON {
		return sh.json(asUserJSON(u))
	}
	return sh.say("%s\n", asUser(u))
}

// asUser is a user in a sentence.
func asUser(u identity.User) string {
	return fmt.Sprintf("%s is %s in %s, %s (%s)", printable(u.Email), u.Role, printable(u.OrgID), u.Status, printable(u.ID))
}

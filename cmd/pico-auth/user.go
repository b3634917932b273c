package main

import (
	"context"
	"time"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/server"
)

type userCmd struct {
	Create        userCreateCmd        `cmd:"" help:"Create a person; the password is asked for, or read from standard input."`
	List          userListCmd          `cmd:"" help:"List people."`
	SetRole       userSetRoleCmd       `cmd:"" help:"Give a person another role; it ends their sessions."`
	Suspend       userSuspendCmd       `cmd:"" help:"Lock a person out; it ends their sessions."`
	Activate      userActivateCmd      `cmd:"" help:"Let a suspended person in again."`
	ResetPassword userResetPasswordCmd `cmd:"" help:"Set a person's password; it ends their sessions."`
}

// who names a person on the command line.
type who struct {
	User string `arg:"" help:"E-mail address or id."`
}

// find returns the person's id. An address counts before an id; old databases
// hold addresses without @.
func (w who) find(ctx context.Context, rooms *server.Rooms) (string, error) {
	page, err := rooms.Directory.Users(ctx, operator(), directory.Filter{Email: w.User})
	if err != nil {
		return "", err
	}
	if len(page.Items) == 1 {
		return page.Items[0].ID, nil
	}
	if !identity.ValidID(w.User) {
		return "", identity.ErrNoUser
	}
	return w.User, nil
}

// change runs one verb on the person and prints what became of them.
func (w who) change(sh *shell, asJSON bool, verb func(context.Context, *directory.Directory, string) (identity.User, error)) error {
	return sh.withExisting(func(ctx context.Context, rooms *server.Rooms) error {
		id, err := w.find(ctx, rooms)
		if err != nil {
			return err
		}
		user, err := verb(ctx, rooms.Directory, id)
		if err != nil {
			return err
		}
		return sh.user(user, asJSON)
	})
}

// userJSON has the names of the API.
type userJSON struct {
	ID          string  `json:"id"`
	Email       string  `json:"email"`
	DisplayName string  `json:"display_name"`
	Role        string  `json:"role"`
	OrgID       string  `json:"org_id"`
	Status      string  `json:"status"`
	CreatedAt   string  `json:"created_at"`
	LastLoginAt *string `json:"last_login_at"`
}

func asUserJSON(u identity.User) userJSON {
	j := userJSON{
		ID: u.ID, Email: u.Email, DisplayName: u.DisplayName, Role: string(u.Role),
		OrgID: u.OrgID, Status: string(u.Status), CreatedAt: u.CreatedAt.UTC().Format(time.RFC3339Nano),
	}
	if !u.LastLoginAt.IsZero() {
		at := u.LastLoginAt.UTC().Format(time.RFC3339Nano)
		j.LastLoginAt = &at
	}
	return j
}

// user prints one person.
func (sh *shell) user(u identity.User, asJSON bool) error {
	if asJSON {
		return sh.json(asUserJSON(u))
	}
	return sh.say("%s is %s in %s, %s (%s)\n",
		printable(u.Email), u.Role, printable(u.OrgID), u.Status, printable(u.ID))
}

package main

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/server"
)

type userListCmd struct {
	Org   string `placeholder:"ID" help:"Only this organization."`
	Email string `placeholder:"ADDRESS" help:"Only the user with this address."`
	Query string `field:"q" short:"q" placeholder:"TEXT" help:"Only users whose address or name begins with this."`
	JSON  bool   `help:"Print JSON."`
}

// Help is the end of `pico-auth user list --help`.
func (userListCmd) Help() string {
	return `Examples:

    pico-auth user list --org default
    pico-auth user list --json | jq -r '.users[] | select(.status == "suspended").email'`
}

// Run lists users, oldest first.
func (c userListCmd) Run(sh *shell) error {
	return sh.reading(func(ctx context.Context, services *server.Services) error {
		users, err := pages(func(cursor string) (directory.Page[identity.User], error) {
			return services.Directory.Users(ctx, operator(), directory.Filter{OrgID: c.Org, Email: c.Email, Query: c.Query, Cursor: cursor})
		})
		if err != nil {
			return err
		}
		if c.JSON {
			return sh.json(usersJSON(users))
		}
		rows := [][]string{{"ID", "E-MAIL", "ROLE", "ORG", "STATUS", "NAME"}}
		for _, u := range users {
			rows = append(rows, []string{u.ID, u.Email, string(u.Role), u.OrgID, string(u.Status), u.DisplayName})
		}
		return sh.table(rows)
	})
}

func usersJSON(users []identity.User) any {
	all := make([]userJSON, len(users))
	for i, u := range users {
		all[i] = asUserJSON(u)
	}
	return map[string]any{"users": all, "total": len(all)}
}

// pages reads all pages of a list; cursor is empty for the first.
func pages[T any](page func(cursor string) (directory.Page[T], error)) ([]T, error) {
	var all []T
	for cursor := ""; ; {
		p, err := page(cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, p.Items...)
		if cursor = p.Next; cursor == "" {
			return all, nil
		}
	}
}

package main

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/server"
)

type groupCmd struct {
	List   groupListCmd   `cmd:"" help:"List groups."`
	Show   groupShowCmd   `cmd:"" help:"Show a group and its members."`
	Create groupCreateCmd `cmd:"" help:"Create a group."`
	Delete groupDeleteCmd `cmd:"" help:"Delete a group and its memberships."`
	Add    groupAddCmd    `cmd:"" help:"Add a user to a group."`
	Remove groupRemoveCmd `cmd:"" help:"Remove a user from a group."`
}

type groupListCmd struct {
	Org  string `placeholder:"ID" help:"Only this organization."`
	JSON bool   `help:"Print JSON."`
}

// Help is the end of `pico-auth group list --help`.
func (groupListCmd) Help() string {
	return `Example:

    pico-auth group list --json | jq -r '.groups[].name'`
}

// Run lists groups, oldest first.
func (c groupListCmd) Run(sh *shell) error {
	return sh.reading(func(ctx context.Context, services *server.Services) error {
		groups, err := pages(func(cursor string) (directory.Page[identity.Group], error) {
			return services.Directory.Groups(ctx, operator(), directory.Filter{OrgID: c.Org, Cursor: cursor})
		})
		if err != nil {
			return err
		}
		if c.JSON {
			return sh.json(groupsJSON(groups))
		}
		rows := [][]string{{"ID", "NAME", "ORG", "DESCRIPTION"}}
		for _, g := range groups {
			rows = append(rows, []string{g.ID, g.Name, g.OrgID, g.Description})
		}
		return sh.table(rows)
	})
}

func groupsJSON(groups []identity.Group) any {
	all := make([]map[string]string, len(groups))
	for i, g := range groups {
		all[i] = groupJSON(g)
	}
	return map[string]any{"groups": all, "total": len(all)}
}

// groupJSON has the field names of the API.
func groupJSON(g identity.Group) map[string]string {
	return map[string]string{"id": g.ID, "name": g.Name, "description": g.Description, "org_id": g.OrgID}
}

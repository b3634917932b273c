package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/server"
)

// groupArg names a group on the command line.
type groupArg struct {
	Group string `arg:"" help:"Name or ID."`
	Org   string `default:"default" placeholder:"ID" help:"Organization of a group that is given by its name (${default})."`
}

// find returns the group's ID. A name takes precedence over an ID.
func (a groupArg) find(ctx context.Context, services *server.Services) (string, error) {
	groups, err := pages(func(cursor string) (directory.Page[identity.Group], error) {
		return services.Directory.Groups(ctx, operator(), directory.Filter{OrgID: a.Org, Cursor: cursor})
	})
	if err != nil {
		return "", err
	}
	for _, g := range groups {
		if identity.GroupKey(g.Name) == identity.GroupKey(a.Group) {
			return g.ID, nil
		}
	}
	return a.Group, nil
}

type groupCreateCmd struct {
	Name        string `arg:"" help:"Its name, unique within the organization."`
	Org         string `default:"default" placeholder:"ID" help:"Its organization (${default})."`
	Description string `help:"What it is for."`
	JSON        bool   `help:"Print JSON."`
}

// Help is the end of `pico-auth group create --help`.
func (groupCreateCmd) Help() string {
	return `Example:

    pico-auth group create on-call --description "Engineers on call"`
}

// Run creates a group.
func (c groupCreateCmd) Run(sh *shell) error {
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		g, err := services.Directory.CreateGroup(ctx, operator(), directory.NewGroup{Name: c.Name, OrgID: c.Org, Description: c.Description})
		if err != nil {
			return err
		}
		if c.JSON {
			return sh.json(groupJSON(g))
		}
		return sh.say("created the group %s in %s (%s)\n", printable(g.Name), printable(g.OrgID), printable(g.ID))
	})
}

type groupDeleteCmd struct {
	groupArg
	Yes bool `help:"Do not ask for confirmation."`
}

// Help is the end of `pico-auth group delete --help`.
func (groupDeleteCmd) Help() string {
	return `Its members' next access tokens do not name it.

Example:

    pico-auth group delete on-call`
}

// Run deletes a group and its memberships.
func (c groupDeleteCmd) Run(sh *shell) error {
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		id, err := c.find(ctx, services)
		if err != nil {
			return err
		}
		if !c.Yes {
			g, members, err := services.Directory.Group(ctx, operator(), id)
			if err != nil {
				return err
			}
			err = sh.sure(fmt.Sprintf("%s in %s has %s.\nType yes to delete the group: ", printable(g.Name), printable(g.OrgID), counted(len(members), "member")),
				"--yes deletes without asking")
			if err != nil {
				return err
			}
		}
		if err := services.Directory.DeleteGroup(ctx, operator(), id); err != nil {
			return err
		}
		return sh.say("deleted the group %s\n", printable(c.Group))
	})
}

type groupAddCmd struct {
	groupArg
	userArg
}

// Help is the end of `pico-auth group add --help`.
func (groupAddCmd) Help() string {
	return `The user belongs to the organization of the group. Their next access token names it.

Example:

    pico-auth group add on-call ada@example.com`
}

// Run adds a member.
func (c groupAddCmd) Run(sh *shell) error {
	return changeMember(sh, c.groupArg, c.userArg, (*directory.Directory).AddMember, "%s is a member of %s\n")
}

type groupRemoveCmd struct {
	groupArg
	userArg
}

// Help is the end of `pico-auth group remove --help`.
func (groupRemoveCmd) Help() string {
	return `The user's next access token does not name the group.

Example:

    pico-auth group remove on-call ada@example.com`
}

// Run removes a member.
func (c groupRemoveCmd) Run(sh *shell) error {
	return changeMember(sh, c.groupArg, c.userArg, (*directory.Directory).RemoveMember, "%s is no longer a member of %s\n")
}

func changeMember(
	sh *shell, group groupArg, user userArg,
	verb func(d *directory.Directory, ctx context.Context, by identity.Actor, groupID, userID string) error, done string,
) error {
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		groupID, err := group.find(ctx, services)
		if err != nil {
			return err
		}
		userID, err := user.find(ctx, services)
		if err != nil {
			return err
		}
		if err := verb(services.Directory, ctx, operator(), groupID, userID); err != nil {
			return err
		}
		return sh.say(done, printable(user.User), printable(group.Group))
	})
}

type groupShowCmd struct {
	groupArg
	JSON bool `help:"Print JSON."`
}

// Help is the end of `pico-auth group show --help`.
func (groupShowCmd) Help() string {
	return `Example:

    pico-auth group show on-call --json | jq -r '.members[].user_id'`
}

// Run shows a group and its members.
func (c groupShowCmd) Run(sh *shell) error {
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		id, err := c.find(ctx, services)
		if err != nil {
			return err
		}
		g, members, err := services.Directory.Group(ctx, operator(), id)
		if err != nil {
			return err
		}
		if c.JSON {
			return sh.json(groupDetailJSON(g, members))
		}
		if err := sh.say("%s in %s (%s)\n", printable(g.Name), printable(g.OrgID), printable(g.ID)); err != nil {
			return err
		}
		rows := [][]string{{"USER", "JOINED"}}
		for _, m := range members {
			rows = append(rows, []string{m.UserID, moment(m.JoinedAt)})
		}
		return sh.table(rows)
	})
}

func groupDetailJSON(g identity.Group, members []identity.Member) any {
	all := make([]map[string]string, len(members))
	for i, m := range members {
		all[i] = map[string]string{"user_id": m.UserID, "joined_at": m.JoinedAt.UTC().Format(time.RFC3339Nano)}
	}
	detail := map[string]any{"members": all}
	for name, value := range groupJSON(g) {
		detail[name] = value
	}
	return detail
}

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/server"
)

type orgCmd struct {
	List     orgListCmd     `cmd:"" help:"List organizations."`
	Create   orgCreateCmd   `cmd:"" help:"Create an organization."`
	Rename   orgRenameCmd   `cmd:"" help:"Rename an organization; its ID stays."`
	Suspend  orgSuspendCmd  `cmd:"" help:"Suspend an organization; this ends the sessions of its users and stops its service tokens."`
	Activate orgActivateCmd `cmd:"" help:"Activate a suspended organization."`
	Delete   orgDeleteCmd   `cmd:"" help:"Delete an empty organization."`
}

// orgArg names an organization on the command line.
type orgArg struct {
	ID string `arg:"" name:"id" help:"The ID of the organization."`
}

// change changes the organization and prints it; sure asks before, nil: nothing does.
func (a orgArg) change(sh *shell, asJSON bool, c directory.OrganizationChange, sure func(identity.Organization, int) error) error {
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		before, users, err := a.find(ctx, services)
		if err == nil && sure != nil {
			err = sure(before, users)
		}
		if err != nil {
			return err
		}
		o, err := services.Directory.UpdateOrganization(ctx, operator(), a.ID, c)
		switch {
		case err != nil:
			return err
		case asJSON:
			return sh.json(asOrganizationJSON(o))
		}
		rows := func(o identity.Organization) [][]string {
			return [][]string{{"name", o.Name}, {"status", string(o.Status)}}
		}
		return sh.changed(asOrganization(o), rows(before), rows(o))
	})
}

// find returns the organization and how many users it has.
func (a orgArg) find(ctx context.Context, services *server.Services) (identity.Organization, int, error) {
	o, err := services.Directory.Organization(ctx, operator(), a.ID)
	if err != nil {
		return o, 0, err
	}
	users, err := services.Directory.Users(ctx, operator(), directory.Filter{OrgID: o.ID, Limit: 1})
	return o, users.Total, err
}

type orgListCmd struct {
	JSON bool `help:"Print JSON."`
}

// Help is the end of `pico-auth org list --help`.
func (orgListCmd) Help() string {
	return `Example:

    pico-auth org list --json | jq -r '.organizations[] | select(.status == "suspended").id'`
}

// Run lists organizations, oldest first.
func (c orgListCmd) Run(sh *shell) error {
	return sh.reading(func(ctx context.Context, services *server.Services) error {
		orgs, err := pages(func(cursor string) (directory.Page[identity.Organization], error) {
			return services.Directory.Organizations(ctx, operator(), directory.Filter{Cursor: cursor})
		})
		if err != nil {
			return err
		}
		if c.JSON {
			all := make([]organizationJSON, len(orgs))
			for i, o := range orgs {
				all[i] = asOrganizationJSON(o)
			}
			return sh.json(map[string]any{"organizations": all, "total": len(all)})
		}
		rows := [][]string{{"ID", "NAME", "STATUS", "CREATED"}}
		for _, o := range orgs {
			rows = append(rows, []string{o.ID, o.Name, string(o.Status), moment(o.CreatedAt)})
		}
		return sh.table(rows)
	})
}

type orgCreateCmd struct {
	Name string `arg:"" help:"Its name, for display."`
	ID   string `placeholder:"ID" help:"Its ID, which never changes; by default a new one."`
	JSON bool   `help:"Print JSON."`
}

// Help is the end of `pico-auth org create --help`.
func (orgCreateCmd) Help() string {
	return `Example:

    pico-auth org create "Acme Inc." --id acme`
}

// Run creates an organization.
func (c orgCreateCmd) Run(sh *shell) error {
	return sh.with(func(ctx context.Context, services *server.Services) error {
		o, err := services.Directory.CreateOrganization(ctx, operator(), directory.NewOrganization{ID: c.ID, Name: c.Name})
		if err != nil {
			return err
		}
		return sh.organization(o, c.JSON)
	})
}

type orgRenameCmd struct {
	orgArg
	Name string `arg:"" help:"The new name."`
	JSON bool   `help:"Print JSON."`
}

// Help is the end of `pico-auth org rename --help`.
func (orgRenameCmd) Help() string {
	return `Example:

    pico-auth org rename acme "Acme GmbH"`
}

// Run renames an organization.
func (c orgRenameCmd) Run(sh *shell) error {
	return c.change(sh, c.JSON, directory.OrganizationChange{Name: &c.Name}, nil)
}

type orgSuspendCmd struct {
	orgArg
	JSON bool `help:"Print JSON."`
	Yes  bool `help:"Do not ask for confirmation."`
}

// Help is the end of `pico-auth org suspend --help`.
func (orgSuspendCmd) Help() string {
	return `All sessions of its users end, and running servers refuse their next requests and those of its service tokens. Access tokens that other services
accept by their signature alone are valid until they expire.

Example:

    pico-auth org suspend acme`
}

// Run suspends an organization.
func (c orgSuspendCmd) Run(sh *shell) error {
	status := string(identity.Suspended)
	sure := func(o identity.Organization, users int) error {
		return sh.sure(fmt.Sprintf("%s, with %s, who are signed out; its service tokens are refused.\nType yes to suspend it: ", asOrganization(o), counted(users, "user")),
			"--yes suspends without asking")
	}
	if c.Yes {
		sure = nil
	}
	return c.change(sh, c.JSON, directory.OrganizationChange{Status: &status}, sure)
}

type orgActivateCmd struct {
	orgArg
	JSON bool `help:"Print JSON."`
}

// Help is the end of `pico-auth org activate --help`.
func (orgActivateCmd) Help() string {
	return `Its users sign in again: no previous session is revived.

Example:

    pico-auth org activate acme`
}

// Run activates an organization.
func (c orgActivateCmd) Run(sh *shell) error {
	status := string(identity.Active)
	return c.change(sh, c.JSON, directory.OrganizationChange{Status: &status}, nil)
}

type orgDeleteCmd struct {
	orgArg
	Yes bool `help:"Do not ask for confirmation."`
}

// Help is the end of `pico-auth org delete --help`.
func (orgDeleteCmd) Help() string {
	return `Only without users, groups, service tokens and clients.

Example:

    pico-auth org delete acme`
}

// Run deletes an organization.
func (c orgDeleteCmd) Run(sh *shell) error {
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		if !c.Yes {
			o, users, err := c.find(ctx, services)
			if err != nil {
				return err
			}
			err = sh.sure(fmt.Sprintf("%s, with %s.\nType yes to delete the organization: ", asOrganization(o), counted(users, "user")), "--yes deletes without asking")
			if err != nil {
				return err
			}
		}
		if err := services.Directory.DeleteOrganization(ctx, operator(), c.ID); err != nil {
			return err
		}
		return sh.say("deleted the organization %s\n", printable(c.ID))
	})
}

// organizationJSON has the field names of the API.
type organizationJSON struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Status    string `json:"status"`
	CreatedAt string `json:"created_at"`
}

func asOrganizationJSON(o identity.Organization) organizationJSON {
	return organizationJSON{ID: o.ID, Name: o.Name, Status: string(o.Status), CreatedAt: o.CreatedAt.UTC().Format(time.RFC3339Nano)}
}

// organization prints one organization.
func (sh *shell) organization(o identity.Organization, asJSON bool) error {
	if asJSON {
		return sh.json(asOrganizationJSON(o))
	}
	return sh.say("%s\n", asOrganization(o))
}

// asOrganization is an organization in a sentence.
func asOrganization(o identity.Organization) string {
	return fmt.Sprintf("%s is %s (%s)", printable(o.Name), o.Status, printable(o.ID))
}

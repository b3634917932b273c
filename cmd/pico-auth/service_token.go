package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/token"
)

type serviceTokenCmd struct {
	Create serviceTokenCreateCmd `cmd:"" help:"Create a service token and print it."`
	List   serviceTokenListCmd   `cmd:"" help:"List service tokens."`
	Update serviceTokenUpdateCmd `cmd:"" help:"Give a service token other audiences."`
	Revoke serviceTokenRevokeCmd `cmd:"" help:"Revoke a service token."`
}

type serviceTokenCreateCmd struct {
	Name        string   `arg:"" help:"Its name, unique within the organization."`
	Role        string   `enum:"viewer,operator,org_admin,superadmin" default:"operator" help:"One of ${enum} (${default})."`
	Org         string   `default:"default" placeholder:"ID" help:"Its organization (${default}); it is created if it does not exist."`
	Description string   `help:"What it is for."`
	Audience    []string `sep:"none" placeholder:"URI" help:"A service whose access tokens it may be exchanged for; by default those of auth.audience."`
	ExpiresAt   string   `placeholder:"TIME" help:"When it expires, such as 2027-11-22 or 2027-11-22T15:04:05Z; by default never."`
	JSON        bool     `help:"Print JSON."`
}

// Help is the end of `pico-auth service-token create --help`.
func (serviceTokenCreateCmd) Help() string {
	return `The token is printed to standard output and never shown again.

Example:

    pico-auth service-token create billing --role viewer --expires-at 2027-11-22T00:00:00Z > billing.token`
}

// Run creates a service token.
func (c serviceTokenCreateCmd) Run(sh *shell) error {
	var expiresAt *time.Time
	if c.ExpiresAt != "" {
		at, err := flagTime("--expires-at", c.ExpiresAt)
		if err != nil {
			return err
		}
		expiresAt = &at
	}
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		t, secret, err := services.Tokens.CreateServiceToken(ctx, operator(), token.NewServiceToken{
			Name: c.Name, Role: c.Role, OrgID: c.Org, Description: c.Description, Audiences: c.Audience, ExpiresAt: expiresAt,
		})
		switch {
		case err != nil:
			return err
		case secret == "":
			return fmt.Errorf("a service token named %s exists in %s; revoke it first, or choose another name; service-token update gives it other audiences", printable(c.Name), printable(c.Org))
		case c.JSON:
			return sh.json(map[string]string{"id": t.ID, "name": t.Name, "token": secret})
		}
		return sh.say("%s\n", secret)
	})
}

type serviceTokenListCmd struct {
	Org  string `placeholder:"ID" help:"Only this organization."`
	JSON bool   `help:"Print JSON."`
}

// Help is the end of `pico-auth service-token list --help`.
func (serviceTokenListCmd) Help() string {
	return `Example:

    pico-auth service-token list --json | jq -r '.tokens[] | select(.last_used_at == null).name'`
}

// Run lists the service tokens that are not revoked, oldest first. One without audiences
// has that of the server.
func (c serviceTokenListCmd) Run(sh *shell) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	return sh.reading(func(ctx context.Context, services *server.Services) error {
		all, err := pages(func(cursor string) (token.ServiceTokenPage, error) {
			return services.Tokens.ServiceTokens(ctx, operator(), token.Filter{OrgID: c.Org, Cursor: cursor})
		})
		if err != nil {
			return err
		}
		if c.JSON {
			return sh.json(serviceTokensJSON(all))
		}
		rows := [][]string{{"NAME", "ORG", "ROLE", "EXPIRES", "LAST USED", "OWNER", "AUDIENCES", "DESCRIPTION"}}
		for _, t := range all {
			rows = append(rows, []string{t.Name, t.OrgID, string(t.Role), orNever(t.ExpiresAt), orNever(t.LastUsedAt), t.OwnerID, cmp.Or(strings.Join(t.Audiences, " "), cfg.Auth.Audience), t.Description})
		}
		return sh.table(rows)
	})
}

func orNever(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return moment(at)
}

func serviceTokensJSON(tokens []identity.ServiceToken) any {
	all := make([]map[string]any, len(tokens))
	for i, t := range tokens {
		all[i] = serviceTokenJSON(t)
	}
	return map[string]any{"tokens": all, "total": len(all)}
}

// serviceTokenJSON has the field names of the API.
func serviceTokenJSON(t identity.ServiceToken) map[string]any {
	optional := func(text string, given bool) any {
		if !given {
			return nil
		}
		return text
	}
	return map[string]any{
		"id": t.ID, "name": t.Name, "role": t.Role, "org_id": t.OrgID, "description": t.Description,
		"audiences":    append([]string{}, t.Audiences...),
		"created_at":   t.CreatedAt.UTC().Format(time.RFC3339Nano),
		"expires_at":   optional(t.ExpiresAt.UTC().Format(time.RFC3339Nano), !t.ExpiresAt.IsZero()),
		"last_used_at": optional(t.LastUsedAt.UTC().Format(time.RFC3339Nano), !t.LastUsedAt.IsZero()),
		"owner_id":     optional(t.OwnerID, t.OwnerID != ""),
	}
}

type serviceTokenUpdateCmd struct {
	Name     string   `arg:"" help:"Its name."`
	Org      string   `default:"default" placeholder:"ID" help:"Its organization (${default})."`
	Audience []string `sep:"none" required:"" placeholder:"URI" help:"A service whose access tokens it may be exchanged for; those that are given replace the previous ones."`
	JSON     bool     `help:"Print JSON."`
}

// Help is the end of `pico-auth service-token update --help`.
func (serviceTokenUpdateCmd) Help() string {
	return `The token itself stays. Access tokens for a previous audience are valid for at most five minutes more. Name
auth.audience too, if the token is to be exchanged for that one as before.

Example:

    pico-auth service-token update billing --audience https://api.example --audience https://files.example`
}

// Run replaces the audiences of a service token.
func (c serviceTokenUpdateCmd) Run(sh *shell) error {
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		before, err := findServiceToken(ctx, services, c.Org, c.Name)
		if err != nil {
			return err
		}
		t, err := services.Tokens.UpdateServiceToken(ctx, operator(), c.Org, c.Name, c.Audience)
		switch {
		case err != nil:
			return namedServiceToken(err, c.Org, c.Name)
		case c.JSON:
			return sh.json(serviceTokenJSON(t))
		}
		rows := func(t identity.ServiceToken) [][]string {
			return [][]string{{"audiences", strings.Join(t.Audiences, " ")}}
		}
		return sh.changed(fmt.Sprintf("%s has the audiences %s", printable(t.Name), printable(strings.Join(t.Audiences, " "))), rows(before), rows(t))
	})
}

type serviceTokenRevokeCmd struct {
	Name string `arg:"" help:"Its name."`
	Org  string `default:"default" placeholder:"ID" help:"Its organization (${default})."`
	Yes  bool   `help:"Do not ask for confirmation."`
}

// Help is the end of `pico-auth service-token revoke --help`.
func (serviceTokenRevokeCmd) Help() string {
	return `Running servers refuse it at once. Access tokens that it was exchanged for are valid for at most five minutes more.

Example:

    pico-auth service-token revoke billing`
}

// Run revokes a service token.
func (c serviceTokenRevokeCmd) Run(sh *shell) error {
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		if !c.Yes {
			t, err := findServiceToken(ctx, services, c.Org, c.Name)
			if err != nil {
				return err
			}
			err = sh.sure(fmt.Sprintf("%s in %s is %s, last used: %s. Programs that use it will be refused.\nType yes to revoke the service token: ",
				printable(t.Name), printable(t.OrgID), t.Role, orNever(t.LastUsedAt)), "--yes revokes without asking")
			if err != nil {
				return err
			}
		}
		if err := services.Tokens.RevokeServiceToken(ctx, operator(), c.Org, c.Name); err != nil {
			return namedServiceToken(err, c.Org, c.Name)
		}
		return sh.say("revoked the service token %s\n", printable(c.Name))
	})
}

func findServiceToken(ctx context.Context, services *server.Services, org, name string) (identity.ServiceToken, error) {
	all, err := pages(func(cursor string) (token.ServiceTokenPage, error) {
		return services.Tokens.ServiceTokens(ctx, operator(), token.Filter{OrgID: org, Cursor: cursor})
	})
	if err != nil {
		return identity.ServiceToken{}, err
	}
	if i := slices.IndexFunc(all, func(t identity.ServiceToken) bool { return t.OrgID == org && t.Name == name }); i >= 0 {
		return all[i], nil
	}
	return identity.ServiceToken{}, namedServiceToken(identity.ErrNoServiceToken, org, name)
}

// namedServiceToken says where a service token was looked for: another organization may
// have one of the name.
func namedServiceToken(err error, org, name string) error {
	if errors.Is(err, identity.ErrNoServiceToken) {
		return fmt.Errorf("there is no service token named %s in %s; `pico-auth service-token list` shows all", printable(name), printable(org))
	}
	return err
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/client"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/server"
)

type clientCmd struct {
	Create       clientCreateCmd       `cmd:"" help:"Create a client; print its ID, its secret and how to use them."`
	List         clientListCmd         `cmd:"" help:"List clients."`
	Show         clientShowCmd         `cmd:"" help:"Show a client."`
	Update       clientUpdateCmd       `cmd:"" help:"Change, suspend or activate a client."`
	RotateSecret clientRotateSecretCmd `cmd:"" name:"rotate-secret" help:"Give a client another secret and print it; the previous one stays valid."`
	RevokeTokens clientRevokeTokensCmd `cmd:"" name:"revoke-tokens" help:"End all tokens that a client holds."`
	Delete       clientDeleteCmd       `cmd:"" help:"Delete a client; this ends all tokens that it holds."`
}

// clientArg names a client on the command line.
type clientArg struct {
	ID string `arg:"" name:"client-id" help:"The client_id, as client list prints it."`
}

// sure asks before something that ends what the client holds, and says what that is.
func (a clientArg) sure(ctx context.Context, sh *shell, services *server.Services, then, instead string) error {
	d, err := services.Clients.Show(ctx, operator(), a.ID)
	if err != nil {
		return err
	}
	held, err := services.Store.HeldByClient(ctx, a.ID)
	if err != nil {
		return err
	}
	holds := "holds no refresh tokens"
	if held.Families > 0 {
		holds = "holds refresh tokens of " + counted(held.Users, "user") + " and " + counted(held.Families, "sign-in")
	}
	return sh.sure(fmt.Sprintf("%s (%s) is %s and %s.\n%s: ", printable(d.Name), printable(d.ID), clientStatus(d.Client), holds, then), instead)
}

type clientListCmd struct {
	Org  string `placeholder:"ID" help:"Only this organization."`
	JSON bool   `help:"Print JSON."`
}

// Help is the end of `pico-auth client list --help`.
func (clientListCmd) Help() string {
	return `Example:

    pico-auth client list --json | jq -r '.clients[] | select(.kind == "spa").client_id'`
}

// Run lists clients, oldest first.
func (c clientListCmd) Run(sh *shell) error {
	return sh.reading(func(ctx context.Context, services *server.Services) error {
		all, err := pages(func(cursor string) (client.Page, error) {
			return services.Clients.List(ctx, operator(), client.Filter{OrgID: c.Org, Cursor: cursor})
		})
		if err != nil {
			return err
		}
		if c.JSON {
			list := make([]clientJSON, len(all))
			for i, one := range all {
				list[i] = asClientJSON(one)
			}
			return sh.json(map[string]any{"clients": list, "total": len(list)})
		}
		rows := [][]string{{"CLIENT ID", "NAME", "KIND", "ORG", "STATUS", "CREATED"}}
		for _, one := range all {
			rows = append(rows, []string{one.ID, one.Name, string(one.Kind), orAll(one.OrgID), clientStatus(one), moment(one.CreatedAt)})
		}
		return sh.table(rows)
	})
}

func orAll(orgID string) string {
	if orgID == "" {
		return "all"
	}
	return orgID
}

func clientStatus(c oauth.Client) string {
	if c.Suspended {
		return string(identity.Suspended)
	}
	return string(identity.Active)
}

// clientJSON has the field names of the API.
type clientJSON struct {
	oauth.Client
	Status    string             `json:"status"`
	Declared  bool               `json:"declared"`
	CreatedAt string             `json:"created_at"`
	NotBefore *string            `json:"not_before"`
	Secret    string             `json:"client_secret,omitempty"`
	Secrets   []clientSecretJSON `json:"secrets,omitempty"`
	Logouts   *clientLogoutsJSON `json:"logouts,omitempty"`
}

// clientLogoutsJSON is what could not yet be delivered to the client of sessions that
// have ended.
type clientLogoutsJSON struct {
	Waiting int    `json:"waiting"`
	Dead    int    `json:"dead"`
	Problem string `json:"problem"`
}

type clientSecretJSON struct {
	ID        string `json:"id"`
	CreatedAt string `json:"created_at"`
	Secret    string `json:"client_secret,omitempty"`
}

func asClientJSON(c oauth.Client) clientJSON {
	out := clientJSON{Client: c, Status: clientStatus(c), Declared: c.Declared, CreatedAt: c.CreatedAt.UTC().Format(time.RFC3339Nano)}
	if !c.NotBefore.IsZero() {
		at := c.NotBefore.UTC().Format(time.RFC3339Nano)
		out.NotBefore = &at
	}
	return out
}

func asClientSecretJSON(s client.Secret, secret string) clientSecretJSON {
	return clientSecretJSON{ID: s.ID, CreatedAt: s.CreatedAt.UTC().Format(time.RFC3339Nano), Secret: secret}
}

type clientShowCmd struct {
	clientArg
	JSON bool `help:"Print JSON."`
}

// Help is the end of `pico-auth client show --help`.
func (clientShowCmd) Help() string {
	return `Example:

    pico-auth client show 01981b61-52ab-7c9e-8d1f-3b8f5f6a7c88`
}

// Run shows one client.
func (c clientShowCmd) Run(sh *shell) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	return sh.reading(func(ctx context.Context, services *server.Services) error {
		d, err := services.Clients.Show(ctx, operator(), c.ID)
		if err != nil {
			return err
		}
		out := asClientJSON(d.Client)
		for _, s := range d.Secrets {
			out.Secrets = append(out.Secrets, asClientSecretJSON(s, ""))
		}
		if out.Logouts, err = logoutsOf(ctx, services, c.ID); err != nil {
			return err
		}
		if c.JSON {
			return sh.json(out)
		}
		rows, err := clientRows(out)
		if err != nil {
			return err
		}
		if keys := keySetOf(cfg.Auth.Issuer, d.Client); keys != "" {
			rows = append(rows, []string{"jwks_uri", keys})
		}
		return sh.table(rows)
	})
}

// logoutsOf is what could not yet be delivered to the client; nil: nothing.
func logoutsOf(ctx context.Context, services *server.Services, clientID string) (*clientLogoutsJSON, error) {
	l, err := services.Store.Logouts(ctx, clientID)
	if err != nil || l.Waiting+l.GivenUp == 0 {
		return nil, err
	}
	return &clientLogoutsJSON{Waiting: l.Waiting, Dead: l.GivenUp, Problem: l.Problem}, nil
}

// clientRows are the fields of a client, one a row, those that it is known by first.
func clientRows(c clientJSON) (rows [][]string, err error) {
	encoded, err := json.Marshal(c) //nolint:gosec // the secret of a new client is shown once; here it is empty
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &fields); err != nil {
		return nil, err
	}
	delete(fields, "secrets")
	delete(fields, "logouts")
	if l := c.Logouts; l != nil {
		rows = append(rows, []string{"logouts", fmt.Sprintf("%d to be delivered, %d dead in the last week; last problem: %s", l.Waiting, l.Dead, dash(l.Problem))})
	}
	for _, s := range c.Secrets {
		rows = append(rows, []string{"secret", s.ID + " of " + s.CreatedAt})
	}
	for name, value := range fields {
		if string(value) == "null" {
			continue
		}
		text := strings.Trim(string(value), `"`)
		var list []string
		if json.Unmarshal(value, &list) == nil {
			text = strings.Join(list, " ")
		}
		if name == "logo_uri" {
			text = fmt.Sprintf("an image of %d bytes", len(c.LogoURI))
		}
		rows = append(rows, []string{name, text})
	}
	first := []string{"status", "kind", "name", "client_id"} // the last one first
	slices.SortFunc(rows, func(a, b []string) int {
		return cmp.Or(cmp.Compare(slices.Index(first, b[0]), slices.Index(first, a[0])), cmp.Compare(a[0], b[0]))
	})
	return rows, nil
}

// keySetOf is the address of the key set with the post-quantum keys, if tokens of the
// client are signed with one. Discovery names the other set.
func keySetOf(issuer string, c oauth.Client) string {
	if strings.HasPrefix(c.IDTokenAlg, "ML-DSA") || strings.HasPrefix(c.AccessTokenAlg, "ML-DSA") {
		return strings.TrimRight(issuer, "/") + "/.well-known/jwks-pqc.json"
	}
	return ""
}

type clientRotateSecretCmd struct {
	clientArg
	Revoke bool `help:"Remove all previous secrets and end all tokens of the client."`
	JSON   bool `help:"Print JSON."`
	Yes    bool `help:"Do not ask for confirmation."`
}

// Help is the end of `pico-auth client rotate-secret --help`.
func (clientRotateSecretCmd) Help() string {
	return `The secret is printed to standard output and never shown again. Two are valid at a time, so the client can be changed over without an
interruption; the next rotation removes the older one. After a leak use --revoke.

Example:

    pico-auth client rotate-secret 01981b61-52ab-7c9e-8d1f-3b8f5f6a7c88 > wiki.secret`
}

// Run adds a secret.
func (c clientRotateSecretCmd) Run(sh *shell) error {
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		if c.Revoke && !c.Yes {
			if err := c.sure(ctx, sh, services, "It will be refused until it has the new secret, and its users sign in again.\nType yes to revoke", "--yes revokes without asking"); err != nil {
				return err
			}
		}
		added, secret, err := services.Clients.AddSecret(ctx, operator(), c.ID, c.Revoke)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return sh.json(asClientSecretJSON(added, secret))
		}
		return sh.say("%s\n", secret)
	})
}

type clientRevokeTokensCmd struct {
	clientArg
	Yes bool `help:"Do not ask for confirmation."`
}

// Help is the end of `pico-auth client revoke-tokens --help`.
func (clientRevokeTokensCmd) Help() string {
	return `Running servers refuse them at once. Access tokens that other services accept by their signature alone are valid until they expire.

Example:

    pico-auth client revoke-tokens 01981b61-52ab-7c9e-8d1f-3b8f5f6a7c88`
}

// Run ends the tokens of a client.
func (c clientRevokeTokensCmd) Run(sh *shell) error {
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		if !c.Yes {
			if err := c.sure(ctx, sh, services, "Its users will sign in again.\nType yes to end all its tokens", "--yes ends them without asking"); err != nil {
				return err
			}
		}
		if err := services.Clients.RevokeTokens(ctx, operator(), c.ID); err != nil {
			return err
		}
		return sh.say("ended all tokens of the client %s\n", printable(c.ID))
	})
}

type clientDeleteCmd struct {
	clientArg
	Yes bool `help:"Do not ask for confirmation."`
}

// Help is the end of `pico-auth client delete --help`.
func (clientDeleteCmd) Help() string {
	return `A client that the configuration declares is created again at the next start.

Example:

    pico-auth client delete 01981b61-52ab-7c9e-8d1f-3b8f5f6a7c88`
}

// Run deletes a client.
func (c clientDeleteCmd) Run(sh *shell) error {
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		if !c.Yes {
			if err := c.sure(ctx, sh, services, "Users cannot sign in to it any more.\nType yes to delete the client", "--yes deletes without asking"); err != nil {
				return err
			}
		}
		if err := services.Clients.Delete(ctx, operator(), c.ID); err != nil {
			return err
		}
		return sh.say("deleted the client %s\n", printable(c.ID))
	})
}

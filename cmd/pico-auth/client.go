package main

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/server"
)

type clientCmd struct {
	Create clientCreateCmd `cmd:"" help:"Create a client and print its ID and secret."`
}

type clientCreateCmd struct {
	Kind        string   `enum:"spa,web,native,machine" required:"" help:"What it is, one of ${enum}: runs in a browser, on a server, on the user's device, or acts without a user."`
	Name        string   `help:"Its name, which users see; by default the host of the first redirect URI."`
	RedirectURI []string `name:"redirect-uri" sep:"none" placeholder:"URI" help:"Where users return to after the sign-in; may be given several times."`
	Org         string   `placeholder:"ID" help:"Only users of this organization may sign in; by default all users."`
	JSON        bool     `help:"Print JSON."`
}

// Help is the end of `pico-auth client create --help`.
func (clientCreateCmd) Help() string {
	return `The secret is printed to standard output and never shown again.

Example:

    pico-auth client create --kind web --redirect-uri http://localhost:3000/callback`
}

// Run creates a client.
func (c clientCreateCmd) Run(sh *shell) error {
	settings := oauth.Settings{"kind": c.Kind, "name": c.Name, "redirect_uris": c.RedirectURI, "org_id": c.Org}
	return sh.with(func(ctx context.Context, services *server.Services) error {
		created, secret, err := services.Clients.Create(ctx, operator(), settings)
		if err != nil {
			return err
		}
		if c.JSON {
			return sh.json(struct {
				oauth.Client
				Secret string `json:"client_secret,omitempty"`
			}{created, secret})
		}
		rows := [][]string{{"client_id", created.ID}}
		if secret != "" {
			rows = append(rows, []string{"client_secret", secret})
		}
		return sh.table(rows)
	})
}

package main

import (
	"context"
	"encoding/json"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
)

type userUpdateCmd struct {
	userArg
	EmailVerified *bool   `negatable:"" help:"The user receives mail at the address; several clients refuse users without this."`
	Admin         *string `field:"metadata.admin" name:"admin-metadata" placeholder:"JSON" help:"The metadata that only administrators change, a JSON object; null removes it."`
	Own           *string `field:"metadata.user" name:"user-metadata" placeholder:"JSON" help:"The metadata that the user changes too, a JSON object; null removes it."`
	JSON          bool    `help:"Print JSON."`
}

// Help is the end of `pico-auth user update --help`.
func (userUpdateCmd) Help() string {
	return `Clients get custom claims of the metadata, such as --claim team=admin.team of pico-auth client create.

Examples:

    pico-auth user update ada@example.com --email-verified
    pico-auth user update ada@example.com --admin-metadata '{"team": "engines"}'`
}

// Run changes a user.
func (c userUpdateCmd) Run(sh *shell) error {
	change := directory.UserChange{EmailVerified: c.EmailVerified, Metadata: map[string]json.RawMessage{}}
	for part, text := range map[string]*string{identity.MetadataAdmin: c.Admin, identity.MetadataUser: c.Own} {
		if text != nil {
			change.Metadata[part] = json.RawMessage(*text)
		}
	}
	if c.EmailVerified == nil && len(change.Metadata) == 0 {
		return usage("nothing to change: see pico-auth user update --help")
	}
	return c.change(sh, c.JSON, func(ctx context.Context, d *directory.Directory, id string) (identity.User, error) {
		return d.Update(ctx, operator(), id, change)
	})
}

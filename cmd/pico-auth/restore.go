package main

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

type restoreCmd struct {
	File string `arg:"" help:"Backup to restore."`
}

// Help is the end of `pico-auth restore --help`.
func (restoreCmd) Help() string {
	return `Stop the server first: a database that is in use is refused. The database that was there is kept beside the restored one.
Refresh tokens that were issued after the backup are unknown afterwards; those people log in again.

Example:

    pico-auth restore /backups/auth-2026-11-22.db`
}

// Run restores and says where the old database went.
func (c restoreCmd) Run(sh *shell) error {
	if c.File == "" {
		return usage("FILE is empty")
	}
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	kept, err := transfer.Restore(context.Background(), server.StoreConfig(cfg, sh.log()), c.File)
	if err != nil {
		return misconfigured(err)
	}
	if kept != "" {
		if err := sh.say("the database that was there is kept as %s\n", printable(kept)); err != nil {
			return err
		}
	}
	return sh.say("restored %s\n", printable(c.File))
}

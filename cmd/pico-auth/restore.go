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
	return `Stop the server first: a database that is in use is refused. The replaced database is kept in the same folder.
Refresh tokens that were issued after the backup are not in it; their users must sign in again.

Example:

    pico-auth restore /backups/auth-2026-11-22.db`
}

// Run restores and prints where the replaced database is kept.
func (c restoreCmd) Run(sh *shell) error {
	if c.File == "" {
		return usage("<file> is empty")
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
		if err := sh.say("the replaced database is kept as %s\n", printable(kept)); err != nil {
			return err
		}
	}
	return sh.say("restored %s\n", printable(c.File))
}

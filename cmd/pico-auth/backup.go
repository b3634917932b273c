package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

type backupCmd struct {
	File string `arg:"" help:"File to write; it must not exist."`
}

// Help is the end of `pico-auth backup --help`.
func (backupCmd) Help() string {
	return `The copy is a consistent snapshot and has mode 0600. Signing keys in files are not in it: back up auth.data_dir as well.
Sealed keys and the chain of audit events are in it and need the master key. Before an upgrade use the old program: this one migrates the database first.

Example:

    pico-auth backup /backups/auth-$(date +%F).db`
}

// Run writes the copy. It needs no keys, so it opens none.
func (c backupCmd) Run(sh *shell) error {
	if c.File == "" {
		return usage("FILE is empty")
	}
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	if err := mustExist(cfg); err != nil {
		return err
	}
	ctx := context.Background()
	db, err := store.Open(ctx, server.StoreConfig(cfg, sh.log()))
	if err != nil {
		return misconfigured(err)
	}
	sh.tell(adoption(db))
	if err := errors.Join(transfer.Backup(ctx, db, c.File), db.Close()); err != nil {
		return err
	}
	text := "wrote " + printable(c.File) + "\n"
	master := filepath.Join(cfg.Auth.DataDir, vault.MasterFile)
	if _, err := os.Lstat(master); err == nil {
		text += printable(master) + " belongs to the backup: without it what is sealed in the database cannot be read; copy it as well\n"
	}
	return sh.say("%s", text)
}

package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/pico-auth/pico-auth/internal/datadir"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

type backupCmd struct {
	File string `arg:"" help:"File to write; it must not exist."`
}

// Help is the end of `pico-auth backup --help`.
func (backupCmd) Help() string {
	return `The copy is a consistent snapshot and has mode 0600. Signing keys in files are not in it: back up auth.data_dir as well.
Sealed keys and the chain of audit events are in it and need the master key. The database is only read: it may be of an earlier version, on a full disk or
on a read-only file system, as long as <file> is not.

Example:

    pico-auth backup /backups/auth-$(date +%F).db`
}

// Run writes the copy. It needs no keys and no schema, so it opens only the file.
func (c backupCmd) Run(sh *shell) error {
	if c.File == "" {
		return usage("<file> is empty")
	}
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	if err := mustExist(cfg); err != nil {
		return err
	}
	if err := transfer.Backup(context.Background(), server.StoreConfig(cfg, sh.log()), c.File); err != nil {
		return misconfigured(err)
	}
	text := "wrote " + printable(c.File) + "\n"
	master := filepath.Join(cfg.Auth.DataDir, datadir.MasterFile)
	if _, err := os.Lstat(master); err == nil {
		text += printable(master) + " belongs to the backup: without it what is sealed in the database cannot be read; copy it as well\n"
	}
	return sh.say("%s", text)
}

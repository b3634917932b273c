package main

import (
	"context"
	"errors"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store"
)

type keyCmd struct {
	List   keyListCmd   `cmd:"" help:"List the signing keys, their status, and the next step of each."`
	Show   keyShowCmd   `cmd:"" help:"Print the published key IDs, one key, or the key set; never a private key."`
	Rotate keyRotateCmd `cmd:"" help:"Make another signing key, which signs when it has been published long enough."`
	Retire keyRetireCmd `cmd:"" help:"Replace an active key without an interruption, or withdraw a pending one."`
	Revoke keyRevokeCmd `cmd:"" help:"End a leaked or lost key at once; every token that it signed is refused."`
	Import keyImportCmd `cmd:"" help:"Publish a private key of yours, which then signs like a new one."`
	Export keyExportCmd `cmd:"" help:"Write a key's private half to a file, or print its public half."`
	Reseal keyResealCmd `cmd:"" help:"Seal under the new master key what is sealed under the previous one."`
	Accept keyAcceptCmd `cmd:"" help:"Trust the row of a sealed key that was changed in the database by hand."`
}

type keyShowCmd struct {
	KID  string `arg:"" optional:"" name:"kid" help:"ID of a key to describe; it may be removed."`
	JSON bool   `xor:"form" help:"Print JSON."`
	JWKS bool   `name:"jwks" xor:"form" help:"Print the published key set."`
}

// Help is the end of `pico-auth key show --help`.
func (keyShowCmd) Help() string {
	return `Examples:

    pico-auth key show
    pico-auth key show VnpZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs
    pico-auth key show -- -npZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs
    pico-auth key show --jwks > jwks.json`
}

// Run shows the keys.
func (c keyShowCmd) Run(sh *shell) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	if c.KID != "" && !c.JWKS {
		return sh.showKey(c.KID, c.JSON)
	}
	published, err := sh.keys(cfg)
	if err != nil {
		return err
	}
	switch {
	case c.JWKS:
		_, err := sh.out.Write(append(published.JWKS(), '\n'))
		return err
	case c.JSON:
		return sh.json(keysJSON(published.Keys()))
	}
	rows := [][]string{{"KID", "ALGORITHM", "STATUS", "FILE"}}
	for _, k := range published.Keys() {
		rows = append(rows, []string{k.KID, string(k.Algorithm), k.Status.String(), place(k)})
	}
	return sh.table(rows)
}

func place(k keyring.KeyInfo) string {
	switch {
	case k.Status == store.KeyRemoved && k.File != "":
		return "still in " + k.File + "; remove it"
	case k.Status == store.KeyRemoved:
		return "erased"
	case k.File == "":
		return "sealed in the database"
	}
	return k.File
}

// keys loads the published signing keys; it creates none.
func (sh *shell) keys(cfg config.Config) (published *keyring.Published, err error) {
	err = sh.withAdmin(cfg, store.OpenReading, func(ctx context.Context, admin *keyring.Admin) error {
		published, err = admin.Published(ctx)
		return err
	})
	return published, err
}

// admin runs do with an Admin. Running servers follow its changes.
func (sh *shell) admin(do func(context.Context, *keyring.Admin) error) error {
	return sh.adminOf(store.Open, do)
}

// keyReader runs do, which only reads, with an Admin. It works on a read-only file system
// and beside a full disk.
func (sh *shell) keyReader(do func(context.Context, *keyring.Admin) error) error {
	return sh.adminOf(store.OpenReading, do)
}

// opener is store.Open or store.OpenReading.
type opener func(context.Context, store.Config) (*store.Store, error)

func (sh *shell) adminOf(open opener, do func(context.Context, *keyring.Admin) error) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	return sh.withAdmin(cfg, open, do)
}

// withAdmin runs do with the database open; it creates none. Every error, such as an
// unavailable key, is reported as one of the configuration.
func (sh *shell) withAdmin(cfg config.Config, open opener, do func(context.Context, *keyring.Admin) error) error {
	if err := mustExist(cfg); err != nil {
		return err
	}
	ctx := context.Background()
	db, err := open(ctx, server.StoreConfig(cfg, sh.log()))
	if err != nil {
		return misconfigured(err)
	}
	sh.tell(adoption(db))
	var admin *keyring.Admin
	keys, err := server.KeysConfig(cfg, db, sh.log())
	if err == nil {
		admin, err = keyring.NewAdmin(keys)
	}
	if err == nil {
		err = do(ctx, admin)
	}
	return errors.Join(misconfigured(err), db.Close())
}

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
	Show   keyShowCmd   `cmd:"" help:"Print the signing keys' ids, never the keys."`
	Forget keyForgetCmd `cmd:"" help:"Give up a signing key that is lost, so that the next start makes another."`
}

type keyShowCmd struct {
	JSON bool `xor:"form" help:"Print JSON."`
	JWKS bool `name:"jwks" xor:"form" help:"Print the published key set."`
}

// Help is the end of `pico-auth key show --help`.
func (keyShowCmd) Help() string {
	return `Examples:

    pico-auth key show
    pico-auth key show --jwks > jwks.json`
}

// Run shows the keys.
func (c keyShowCmd) Run(sh *shell) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	ring, err := sh.keys(cfg)
	if err != nil {
		return err
	}
	switch {
	case c.JWKS:
		body, _ := ring.JWKS()
		_, err := sh.out.Write(append(body, '\n'))
		return err
	case c.JSON:
		return sh.json(keysJSON(ring))
	}
	rows := [][]string{{"KID", "ALGORITHM", "STATUS", "FILE"}}
	for _, k := range ring.Keys() {
		file := k.File
		if file == "" {
			file = "sealed in the database"
		}
		rows = append(rows, []string{k.KID, string(k.Algorithm), string(k.Status), file})
	}
	return sh.table(rows)
}

type keyForgetCmd struct {
	KID string `arg:"" name:"kid" help:"The key's id, as the refused start named it."`
}

// Help is the end of `pico-auth key forget --help`.
func (keyForgetCmd) Help() string {
	return `For a key whose files, or whose master key, are lost for good. Every access token that it signed is refused from then on; sessions go
on with their refresh tokens. Files are not touched: a key that is still in auth.data_dir would be taken up again. Stop all servers first.

Example:

    pico-auth key forget VnpZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs`
}

// Run forgets one key.
func (c keyForgetCmd) Run(sh *shell) error {
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
	act := store.Act{Action: "key.forget", By: operator()}
	if err := errors.Join(db.ForgetSigningKey(ctx, act, c.KID), db.Close()); err != nil {
		return err
	}
	return sh.say("forgot %s; the next start makes another\n", printable(c.KID))
}

// keys loads the signing keys; it creates none. The database knows which one is
// active.
func (sh *shell) keys(cfg config.Config) (*keyring.Ring, error) {
	if err := mustExist(cfg); err != nil {
		return nil, err
	}
	ctx := context.Background()
	db, err := store.Open(ctx, server.StoreConfig(cfg, sh.log()))
	if err != nil {
		return nil, misconfigured(err)
	}
	sh.tell(adoption(db))
	keys, err := server.KeysConfig(cfg, db, sh.log())
	if err != nil {
		return nil, errors.Join(misconfigured(err), db.Close())
	}
	ring, err := keyring.Load(ctx, keys)
	return ring, errors.Join(err, db.Close())
}

func keysJSON(ring *keyring.Ring) any {
	all := []map[string]string{}
	for _, k := range ring.Keys() {
		all = append(all, map[string]string{
			"kid": k.KID, "algorithm": string(k.Algorithm), "thumbprint": k.Thumbprint,
			"status": string(k.Status), "file": k.File,
		})
	}
	return map[string]any{"keys": all}
}

package main

import (
	"context"
	"errors"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store"
)

type keyCmd struct {
	Show keyShowCmd `cmd:"" help:"Print the signing keys' ids, never the keys."`
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
		rows = append(rows, []string{k.KID, string(k.Algorithm), string(k.Status), k.File})
	}
	return sh.table(rows)
}

// keys loads the signing keys; it creates none. The database knows which key
// kept the original's id.
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
	ring, err := keyring.Load(ctx, keyring.Config{
		Dir: cfg.Auth.DataDir, Algorithm: jose.Algorithm(cfg.Auth.Algorithm), Adopted: db, Log: sh.log(),
	})
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

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
)

type keyForgetCmd struct {
	KID string `arg:"" name:"kid" help:"The key's id, as the refused start named it."`
	Yes bool   `help:"Do not ask, even where the key is not lost."`
}

// Help is the end of `pico-auth key forget --help`.
func (keyForgetCmd) Help() string {
	return `For a key whose files, or whose master key, are lost for good. Every access token that it signed is refused from then on; sessions go
on with their refresh tokens. Files are not touched: a key that is still in auth.data_dir would be taken up again. Stop all servers first.
A key that is there is forgotten only after a question. If it has leaked, use "key revoke".

Examples:

    pico-auth key forget VnpZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs
    pico-auth key forget -- -npZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs`
}

// Run forgets one key.
func (c keyForgetCmd) Run(sh *shell) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	return sh.withKeys(cfg, func(ctx context.Context, keys keyring.Config) error {
		k, err := forgettable(ctx, keys, c.KID)
		if err == nil && k.There && !c.Yes {
			err = sh.mayForget(k)
			if err != nil {
				return err
			}
		}
		// A key that cannot even be looked at is one to be given up.
		act := store.Act{Action: identity.ActionKeyForget, By: operator()}
		if err := keys.Store.ForgetSigningKey(ctx, act, c.KID); err != nil {
			return err
		}
		return sh.say("forgot %s%s", printable(c.KID), afterwards(k))
	})
}

func forgettable(ctx context.Context, keys keyring.Config, kid string) (keyring.Forgettable, error) {
	desk, err := keyring.NewDesk(keys)
	if err != nil {
		return keyring.Forgettable{}, err
	}
	return desk.Forgettable(ctx, kid)
}

// mayForget asks about a key that is not lost.
func (sh *shell) mayForget(k keyring.Forgettable) error {
	sh.tell(fmt.Sprintf("%s is %s, and it is not lost: its private half is there. Every access token that it signed will be refused.\nType yes to forget it: ",
		describe(k.KeyInfo), k.Status))
	answer, err := sh.line()
	if err != nil || answer == "yes" {
		return err
	}
	instead := "revoke %s` ends it"
	if k.Status == keyring.Next {
		instead = "retire %s` withdraws it"
	}
	return errors.New("nothing was changed: this key is there; `pico-auth key " + fmt.Sprintf(instead, keyring.Argument(k.KID)) + "; --yes forgets it without asking")
}

// afterwards is what becomes of things without a key, as the end of a sentence.
func afterwards(k keyring.Forgettable) string {
	left := ""
	if k.There && k.File != "" {
		left = "its private half is still in " + printable(k.File) + "\n"
	}
	switch k.Status {
	case keyring.Next:
		return ", which was next: it will not sign\n" + left
	case keyring.Retiring:
		return ", which was retiring: what it signed is refused from now on\n" + left
	case keyring.Removed:
		return ", which was removed before\n"
	case keyring.Active:
		return ", which was active; servers that run sign with it until " + succession(k) + "\n" + left
	}
	return "; if it was the active one, the next start takes up what is in auth.data_dir, or makes another\n"
}

// succession is what ends the time without an active key.
func succession(k keyring.Forgettable) string {
	next, file := printable(k.Successor), printable(k.Again)
	switch {
	case next != "" && k.SuccessorProblem != "":
		return fmt.Sprintf("they are stopped; the next start wants %s, which is next and not to be had here either: to go on without it, run `pico-auth key forget %s`",
			next, keyring.Argument(next))
	case next != "":
		return fmt.Sprintf("%s takes over: at the next start, or when its time has come", next)
	case file != "":
		return fmt.Sprintf("they are stopped; the next start takes it up again from %s: move that away to have another made", file)
	}
	return "they are stopped; the next start takes up what is in auth.data_dir, or makes another"
}

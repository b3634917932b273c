package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/keyring"
)

// takenUp is what running servers do about a change.
const takenUp = "running servers take this up within 5 seconds"

type keyRotateCmd struct {
	Now  bool `help:"Let the key sign at once, without having been published before."`
	JSON bool `help:"Print the key as JSON."`
}

// Help is the end of "pico-auth key rotate --help".
func (keyRotateCmd) Help() string {
	return `Nobody notices: the new key of auth.algorithm is in the key set for keys.publish_ahead before it signs, and the former one stays in it until
the last token that it signed has expired. With --now, services that keep the key set and do not fetch it again when they meet an
unknown key id refuse tokens until what they keep is out of date. While a key is next already, nothing is made; --now makes that one sign.

Examples:

    pico-auth key rotate
    pico-auth key rotate --now`
}

// Run begins a rotation, or ends it at once.
func (c keyRotateCmd) Run(sh *shell) error {
	return sh.desk(func(ctx context.Context, desk *keyring.Desk) error {
		kid, made, err := desk.Rotate(ctx, operator(), c.Now)
		if err != nil {
			return err
		}
		k, err := desk.Key(ctx, kid)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return sh.json(keyJSON(k))
		case c.Now:
			return sh.say("%s signs from now on; %s\nservices that keep a key set without it and do not fetch it again at an unknown key id refuse tokens until theirs is out of date\n",
				describe(k), takenUp)
		case made:
			return sh.say("made %s, which is published now and signs in %s; %s\n", describe(k), span(k.Due), takenUp)
		}
		return sh.say("%s is next already and signs in %s; --now lets it sign at once\n", describe(k), span(k.Due))
	})
}

type keyRetireCmd struct {
	KID string `arg:"" name:"kid" help:"The key's id."`
}

// Help is the end of "pico-auth key retire --help".
func (keyRetireCmd) Help() string {
	return `A next key is withdrawn: it has signed nothing. For the active one a rotation begins, as by "key rotate". A retiring one goes by itself.

Examples:

    pico-auth key retire VnpZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs
    pico-auth key retire -- -npZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs`
}

// Run takes a key out of use.
func (c keyRetireCmd) Run(sh *shell) error {
	return sh.desk(func(ctx context.Context, desk *keyring.Desk) error {
		k, err := desk.Key(ctx, c.KID)
		if err != nil {
			return err
		}
		switch k.Status {
		case keyring.Next:
			if err := desk.Withdraw(ctx, operator(), c.KID); err != nil {
				return err
			}
			return sh.say("withdrew %s before it has signed anything; %s\n", describe(k), takenUp)
		case keyring.Active:
			kid, _, err := desk.Rotate(ctx, operator(), false)
			if err != nil {
				return err
			}
			next, err := desk.Key(ctx, kid)
			if err != nil {
				return err
			}
			return sh.say("%s takes over from %s in %s; %s\n", describe(next), describe(k), span(next.Due), takenUp)
		case keyring.Retiring:
			return sh.say("%s does not sign any more; it is removed in %s, when the last token that it signed has expired\n", describe(k), span(k.Due))
		case keyring.Removed:
		}
		return sh.say("%s was removed on %s\n", describe(k), moment(k.RemovedAt))
	})
}

type keyRevokeCmd struct {
	KID string `arg:"" name:"kid" help:"The id of the key that has leaked."`
	Yes bool   `help:"Do not ask."`
}

// Help is the end of "pico-auth key revoke --help".
func (keyRevokeCmd) Help() string {
	return `For an emergency: somebody else may have the private key. It ends at once. If it is the active one, the next key, or a new one, signs at once.

What that breaks: every access token that the key signed is refused, by this server within 5 seconds and by others as soon as the key set that
they keep is out of date, at most five minutes later. Clients get another with their refresh token; nobody has to log in again. Services
that keep the key set and do not fetch it again at an unknown key id refuse the new tokens for as long. The private half is erased, or it is said where it still lies.

Examples:

    pico-auth key revoke VnpZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs
    pico-auth key revoke --yes -- -npZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs`
}

// Run ends one key.
func (c keyRevokeCmd) Run(sh *shell) error {
	return sh.desk(func(ctx context.Context, desk *keyring.Desk) error {
		k, err := desk.Key(ctx, c.KID)
		if err != nil {
			return err
		}
		if !c.Yes {
			sh.tell(fmt.Sprintf("%s is %s. Every access token that it signed will be refused; sessions go on with their refresh tokens.\nType yes to revoke it: ",
				describe(k), k.Status))
			answer, err := sh.line()
			if err != nil {
				return err
			}
			if answer != "yes" {
				return errors.New("nothing was changed; --yes revokes without asking")
			}
		}
		successor, err := desk.Revoke(ctx, operator(), c.KID)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("revoked %s: what it signed is refused; %s, and others when the key set that they keep is out of date\n", describe(k), takenUp)
		if successor != "" {
			text += printable(successor) + " signs now\n"
		}
		if k, err = desk.Key(ctx, c.KID); err == nil && k.File != "" {
			text += "its private half is still in " + printable(k.File) + ": remove it\n"
		}
		return sh.say("%s", text)
	})
}

type keyImportCmd struct {
	File string `arg:"" type:"existingfile" help:"The private key, in PEM; for ML-DSA in the encoding of FIPS 204."`
}

// Help is the end of "pico-auth key import --help".
func (keyImportCmd) Help() string {
	return `The key must be one of auth.algorithm, and none that this server has or had. PEM is read as PKCS #8, PKCS #1 or SEC 1, without a passphrase. It takes over as one that "key rotate" makes. The file is only read:
remove it afterwards.

Example:

    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out new.pem && pico-auth key import new.pem`
}

// Run publishes the key of a file.
func (c keyImportCmd) Run(sh *shell) error {
	secret, err := readKeyFile(c.File)
	if err != nil {
		return err
	}
	return sh.desk(func(ctx context.Context, desk *keyring.Desk) error {
		kid, err := desk.Import(ctx, operator(), secret)
		if err != nil {
			return err
		}
		k, err := desk.Key(ctx, kid)
		if err != nil {
			return err
		}
		return sh.say("imported %s, which is published now and signs in %s; %s\n", describe(k), span(k.Due), takenUp)
	})
}

type keyExportCmd struct {
	KID    string `arg:"" name:"kid" help:"The key's id."`
	Out    string `placeholder:"FILE" help:"Write the private half to this file, which must not exist; its mode is 0600."`
	Public string `enum:"jwk,pem," default:"" placeholder:"jwk|pem" help:"Print the public half instead."`
}

// Help is the end of "pico-auth key export --help".
func (keyExportCmd) Help() string {
	return `The private half is never printed. It is PEM, or for ML-DSA the encoding of FIPS 204; "key import" takes it. That it was exported is in the
audit log.

Examples:

    pico-auth key export VnpZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs --out key.pem
    pico-auth key export VnpZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs --public pem
    pico-auth key export --public pem -- -npZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs`
}

// Run writes or prints one half of a key.
func (c keyExportCmd) Run(sh *shell) error {
	if (c.Out == "") == (c.Public == "") {
		return usage("say --out FILE for the private half, or --public jwk or pem")
	}
	return sh.desk(func(ctx context.Context, desk *keyring.Desk) error {
		if c.Public != "" {
			return c.printPublic(ctx, sh, desk)
		}
		file, err := newKeyFile(c.Out)
		if err != nil {
			return err
		}
		out, err := desk.Export(ctx, operator(), c.KID)
		if err != nil {
			return errors.Join(err, file.discard())
		}
		if err := file.write(out.Bytes); err != nil {
			return err
		}
		return sh.say("wrote the private half of %s to %s, mode 0600\n", printable(c.KID), printable(c.Out))
	})
}

func (c keyExportCmd) printPublic(ctx context.Context, sh *shell, desk *keyring.Desk) error {
	public, jwk, err := desk.Public(ctx, c.KID)
	if err != nil {
		return err
	}
	if c.Public == "jwk" {
		return sh.json(jwk)
	}
	text, err := public.MarshalPEM()
	if err != nil {
		return usage("this key has no PEM form; use --public jwk")
	}
	return sh.say("%s", text)
}

type keyResealCmd struct{}

// Help is the end of "pico-auth key reseal --help".
func (keyResealCmd) Help() string {
	return `To replace the master key:

 1. Set auth.master_key to a new one and auth.former_master_key to the one of before, and restart every server, one after another.
 2. Run "pico-auth key reseal". It changes everything or nothing, and can be repeated.
 3. Remove auth.former_master_key and restart. A start that needs it for the active key is refused, and one that needs it for another says so in its log.

Example:

    openssl rand -base64 32 > master.key
    AUTH_MASTER_KEY_FILE=master.key AUTH_FORMER_MASTER_KEY_FILE=former.key pico-auth key reseal`
}

// Run seals everything anew.
func (keyResealCmd) Run(sh *shell) error {
	return sh.desk(func(ctx context.Context, desk *keyring.Desk) error {
		n, err := desk.Reseal(ctx, operator())
		if err != nil {
			return err
		}
		if n == 0 {
			return sh.say("everything is sealed under auth.master_key already\n")
		}
		return sh.say("sealed %d secrets anew; auth.former_master_key is not needed any more\n", n)
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store"
)

// followed says when running servers follow a change.
const followed = "running servers follow within 5 seconds"

type keyRotateCmd struct {
	Now       bool   `help:"Let the key sign at once, without publishing it first."`
	Algorithm string `placeholder:"ALG" help:"One of keys.algorithms; by default auth.algorithm."`
	JSON      bool   `help:"Print the key as JSON."`
}

// Help is the end of "pico-auth key rotate --help".
func (keyRotateCmd) Help() string {
	return `Without an interruption: the new key is in the key set for keys.publish_ahead before it signs, and the former one stays in it until the last
token that it signed has expired. With --now, services that keep the key set and do not fetch it again when they meet an unknown key ID refuse
tokens until their key set has expired. While a key of the algorithm is pending already, none is made; --now makes that one sign.

Examples:

    pico-auth key rotate
    pico-auth key rotate --now`
}

// Run begins a rotation, or ends it at once.
func (c keyRotateCmd) Run(sh *shell) error {
	return sh.admin(func(ctx context.Context, admin *keyring.Admin) error {
		kid, made, err := admin.Rotate(ctx, operator(), jose.Algorithm(c.Algorithm), c.Now)
		if err != nil {
			return err
		}
		k, err := admin.Key(ctx, kid)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return sh.json(keyJSON(k))
		case c.Now:
			return sh.say("%s signs from now on; %s\nservices that keep a key set without it and do not fetch it again at an unknown key ID refuse tokens until their key set has expired\n",
				describe(k), followed)
		case made:
			return c.made(ctx, sh, admin, k)
		}
		return sh.say("%s is pending already and signs %s; --now lets it sign at once\n", describe(k), from(k))
	})
}

// made reports a new key. Where it changes the algorithm of tokens, the report says
// so: the configuration of the command may not be that of the servers.
func (keyRotateCmd) made(ctx context.Context, sh *shell, admin *keyring.Admin, k keyring.KeyInfo) error {
	all, err := admin.Keys(ctx)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("made %s, which is published now and signs %s; %s\n", describe(k), from(k), followed)
	if change := server.Transition(all, admin.Default(), time.Now()); change != "" && k.Algorithm == admin.Default() {
		text += change + "\n"
	}
	return sh.say("%s", text)
}

type keyRetireCmd struct {
	KID string `arg:"" name:"kid" help:"The key ID."`
}

// Help is the end of "pico-auth key retire --help".
func (keyRetireCmd) Help() string {
	return `A pending key is withdrawn: it has signed nothing. For an active one a rotation begins, as by "key rotate". A retiring one is removed when its
last token has expired.

Examples:

    pico-auth key retire VnpZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs
    pico-auth key retire -- -npZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs`
}

// Run retires an active key or withdraws a pending one.
func (c keyRetireCmd) Run(sh *shell) error {
	return sh.admin(func(ctx context.Context, admin *keyring.Admin) error {
		k, err := admin.Key(ctx, c.KID)
		if err != nil {
			return err
		}
		switch k.Status {
		case store.KeyRetiring:
			return sh.say("%s does not sign any more; it is removed in %s, when the last token that it signed has expired\n", describe(k), span(k.Due))
		case store.KeyRemoved:
			return sh.say("%s was removed on %s\n", describe(k), moment(k.RemovedAt))
		case store.KeyPending, store.KeyActive:
		}
		kid, err := admin.Retire(ctx, operator(), c.KID)
		if err != nil {
			return err
		}
		if kid == "" {
			return sh.say("withdrew %s before it has signed anything; %s\n", describe(k), followed)
		}
		successor, err := admin.Key(ctx, kid)
		if err != nil {
			return err
		}
		return sh.say("%s replaces %s and signs %s; %s\n", describe(successor), describe(k), from(successor), followed)
	})
}

type keyRevokeCmd struct {
	KID  string `arg:"" name:"kid" help:"The ID of the key that has leaked, or is lost."`
	Lost bool   `help:"The private key, or the master key, is lost for good: do not require it."`
	Yes  bool   `help:"Do not ask for confirmation."`
}

// Help is the end of "pico-auth key revoke --help".
func (keyRevokeCmd) Help() string {
	return `For an emergency: the private key has leaked, or with --lost its file or the master key is lost for good. The key ends at once. If it is an
active key, the pending one of its algorithm, or a new one, signs at once.

Consequences: every access token that the key signed is refused, by this server within 5 seconds and by other services when the key set that
they keep has expired, at most five minutes later. Clients get a new token with their refresh token; sessions continue. Services that keep the key set
and do not fetch it again at an unknown key ID refuse the new tokens for as long. The private half is erased, or the output says where it still is.

Examples:

    pico-auth key revoke VnpZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs
    pico-auth key revoke --yes -- -npZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs
    pico-auth key revoke --lost VnpZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs`
}

// Run ends one key.
func (c keyRevokeCmd) Run(sh *shell) error {
	return sh.admin(func(ctx context.Context, admin *keyring.Admin) error {
		k, err := admin.Key(ctx, c.KID)
		if err != nil {
			return err
		}
		if !c.Yes {
			err := sh.sure(fmt.Sprintf("%s is %s. Every access token that it signed will be refused; sessions continue with their refresh tokens.\nType yes to revoke it: ",
				describe(k), k.Status), "--yes revokes without asking")
			if err != nil {
				return err
			}
		}
		successor, err := admin.Revoke(ctx, operator(), c.KID, c.Lost)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("revoked %s: its tokens are refused; %s, and other services when the key set that they keep has expired\n", describe(k), followed)
		if successor != "" {
			text += printable(successor) + " signs now\n"
		}
		if k, err = admin.Key(ctx, c.KID); err == nil && k.File != "" {
			text += "its private half is still in " + printable(k.File) + "; remove it\n"
		}
		return sh.say("%s", text)
	})
}

// sure asks before something that cannot be undone. The last line of the question is
// what to type. A script sees no question: its refusal is one line with the rest of it.
func (sh *shell) sure(question, instead string) error {
	refusal := "nothing was changed; " + instead
	if isTerminal(sh.in) {
		sh.tell(question)
	} else if i := strings.LastIndex(question, "\n"); i > 0 {
		refusal = strings.TrimSuffix(strings.ReplaceAll(question[:i], "\n", " "), ".") + ": " + refusal
	}
	answer, err := sh.line()
	if err == nil && answer != "yes" {
		err = errors.New(refusal)
	}
	return err
}

type keyAcceptCmd struct {
	KID string `arg:"" name:"kid" help:"The key ID, as the log or key list names it."`
	Yes bool   `help:"Do not ask for confirmation."`
}

// Help is the end of "pico-auth key accept --help".
func (keyAcceptCmd) Help() string {
	return `Sealed keys are authenticated in the database under the master key. A row that was changed without it, by hand or by an attacker, is not
published, does not verify and does not sign. If you know the cause of the change and want to use the key as it is now, accept it; otherwise revoke it.

Examples:

    pico-auth key list
    pico-auth key accept VnpZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs
    pico-auth key accept -- -npZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs`
}

// Run accepts the row of one key.
func (c keyAcceptCmd) Run(sh *shell) error {
	return sh.admin(func(ctx context.Context, admin *keyring.Admin) error {
		k, err := admin.Key(ctx, c.KID)
		if err != nil {
			return err
		}
		if !c.Yes && k.Problem != "" {
			err := sh.sure(fmt.Sprintf("%s is %s, created %s, active since %s. Its row was changed without the master key. Accepted, what it signs is trusted here and by every other service.\nType yes to accept it: ",
				describe(k), k.Status, moment(k.CreatedAt), moment(k.ActivatedAt)), "--yes accepts without asking")
			if err != nil {
				return err
			}
		}
		if err := admin.Accept(ctx, operator(), c.KID); err != nil {
			return err
		}
		return sh.say("accepted %s as %s; %s\n", describe(k), k.Status, followed)
	})
}

type keyImportCmd struct {
	Algorithm string `placeholder:"ALG" help:"One of keys.algorithms; by default auth.algorithm."`

	File string `arg:"" type:"existingfile" help:"The private key, in PEM; for ML-DSA in the encoding of FIPS 204."`
}

// Help is the end of "pico-auth key import --help".
func (keyImportCmd) Help() string {
	return `The key must be of the algorithm, and must not be known to this server, also not as a removed key. PEM is read as PKCS #8, PKCS #1 or SEC 1,
without a passphrase. The key signs after keys.publish_ahead, like one of "key rotate". The file is only read: remove it afterwards.

Example:

    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out new.pem && pico-auth key import new.pem`
}

// Run publishes the key of a file.
func (c keyImportCmd) Run(sh *shell) error {
	secret, err := readKeyFile(c.File)
	if err != nil {
		return err
	}
	return sh.admin(func(ctx context.Context, admin *keyring.Admin) error {
		kid, err := admin.Import(ctx, operator(), jose.Algorithm(c.Algorithm), secret)
		if err != nil {
			return err
		}
		k, err := admin.Key(ctx, kid)
		if err != nil {
			return err
		}
		return sh.say("imported %s, which is published now and signs %s; %s\n", describe(k), from(k), followed)
	})
}

type keyExportCmd struct {
	KID    string `arg:"" name:"kid" help:"The key ID."`
	Out    string `placeholder:"FILE" help:"Write the private half to this file, which must not exist; its mode is 0600."`
	Public string `enum:"jwk,pem," default:"" placeholder:"jwk|pem" help:"Print the public half instead."`
}

// Help is the end of "pico-auth key export --help".
func (keyExportCmd) Help() string {
	return `The private half is never printed. It is PEM, or for ML-DSA the encoding of FIPS 204; "key import" reads it. The audit log records
the export.

Examples:

    pico-auth key export VnpZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs --out key.pem
    pico-auth key export VnpZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs --public pem
    pico-auth key export --public pem -- -npZmIo7TZkjE5cD2B7GV0ZKkJ4eTC2SLhPtDYtGmYs`
}

// Run writes or prints one half of a key.
func (c keyExportCmd) Run(sh *shell) error {
	if (c.Out == "") == (c.Public == "") {
		return usage("use --out FILE for the private half, or --public jwk or --public pem")
	}
	if c.Public != "" {
		return sh.keyReader(func(ctx context.Context, admin *keyring.Admin) error { return c.printPublic(ctx, sh, admin) })
	}
	return sh.admin(func(ctx context.Context, admin *keyring.Admin) error {
		file, err := newKeyFile(c.Out)
		if err != nil {
			return err
		}
		out, err := admin.Export(ctx, operator(), c.KID)
		if err != nil {
			return errors.Join(err, file.discard())
		}
		if err := file.write(out); err != nil {
			return err
		}
		return sh.say("wrote the private half of %s to %s, mode 0600\n", printable(c.KID), printable(c.Out))
	})
}

func (c keyExportCmd) printPublic(ctx context.Context, sh *shell, admin *keyring.Admin) error {
	k, err := admin.Find(ctx, c.KID)
	if err != nil {
		return err
	}
	if c.Public == "jwk" {
		return sh.json(k.JWK())
	}
	text, err := k.PublicKey.MarshalPEM()
	if err != nil {
		return usage("this key has no PEM form; use --public jwk")
	}
	return sh.say("%s", text)
}

type keyResealCmd struct{}

// Help is the end of "pico-auth key reseal --help".
func (keyResealCmd) Help() string {
	return `To replace the master key:

 1. Set auth.master_key to a new one and auth.former_master_key to the previous one, and restart every server, one after another.
 2. Run "pico-auth key reseal". It changes everything or nothing, and can be repeated.
 3. Remove auth.former_master_key and restart. A start that needs it for the active key is refused, and one that needs it for another says so in its log.

Example:

    openssl rand -base64 32 > master.key
    AUTH_MASTER_KEY_FILE=master.key AUTH_FORMER_MASTER_KEY_FILE=former.key pico-auth key reseal`
}

// Run reseals everything.
func (keyResealCmd) Run(sh *shell) error {
	return sh.admin(func(ctx context.Context, admin *keyring.Admin) error {
		n, err := admin.Reseal(ctx, operator())
		if err != nil {
			return err
		}
		if n == 0 {
			return sh.say("everything is sealed under auth.master_key already\n")
		}
		return sh.say("resealed %d secrets under auth.master_key; run `pico-auth audit verify` before you remove auth.former_master_key\n", n)
	})
}

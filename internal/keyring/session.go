package keyring

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/store"
)

// maxAttempts bounds how often a change is repeated because another process changed the
// keys concurrently. The second attempt reads the keys of that process, so it usually
// succeeds.
const maxAttempts = 10

var system = identity.Actor{Kind: identity.ActorSystem}

// session changes keys. It holds the lock of the folder unless keys are sealed.
type session struct {
	keeper

	by   identity.Actor
	keys *keys // as they are recorded now
}

// enter begins a session. Close its Writer.
func (k *keeper) enter(ctx context.Context, by identity.Actor) (s *session, err error) {
	s = &session{keeper: *k, by: by}
	if !k.Sealed() { // otherwise the folder is only read
		s.files.Writer, err = k.files.Lock(ctx)
	}
	return s, err
}

// change runs do on the recorded keys, again when another process changed them
// concurrently, and returns the key ID that do returns.
func (k *keeper) change(ctx context.Context, by identity.Actor, do func(s *session) (string, error)) (kid string, err error) {
	s, err := k.enter(ctx, by)
	if err != nil {
		return "", err
	}
	defer s.files.Writer.Close()
	for range maxAttempts {
		if s.keys, err = s.load(ctx, false); err == nil {
			kid, err = do(s)
		}
		if !errors.Is(err, store.ErrKeysChanged) {
			break
		}
	}
	return kid, err
}

// apply records changes, all or none, and returns the key ID of the last one. A private
// half is committed before its row: after a crash in between it was never published and
// signs nothing.
func (s *session) apply(ctx context.Context, changes ...store.KeyChange) (kid string, err error) {
	return s.applyWith(ctx, vault.Secret{}, changes...)
}

// applyWith is apply with the private half of the key that the changes make.
func (s *session) applyWith(ctx context.Context, secret vault.Secret, changes ...store.KeyChange) (kid string, err error) {
	for i := range changes {
		c := &changes[i]
		switch {
		case c.KID == "":
			c.SigningKey, err = s.make(c.SigningKey, secret)
		case c.Act.Action == identity.ActionKeyActivate:
			err = s.available(s.keys, c.KID)
		}
		if err != nil {
			return "", err
		}
		c.Act.By, kid = s.by, c.KID
	}
	s.authenticate(changes)
	if err := s.Store.PutSigningKeys(ctx, s.keys.Version, changes...); err != nil {
		return "", fmt.Errorf("record the signing keys: %w", err)
	}
	s.tell(changes)
	changed, err := s.load(ctx, true)
	if err == nil {
		s.keys = changed
		s.erase()
	}
	return kid, err
}

// make returns the whole row of a key that is not recorded yet, and stores its private
// half: the given one, which may be in a file already, or a new one.
func (s *session) make(as store.SigningKey, secret vault.Secret) (row store.SigningKey, err error) {
	made := secret.Key == nil
	if made {
		if secret, err = generate(jose.Algorithm(as.Algorithm), s.RSABits); err != nil {
			return row, err
		}
	}
	if row, err = vault.NewRow(secret.Key, s.keys.adopted.Thumbprint); err != nil {
		return row, err
	}
	row.Status, row.API, row.TokenLifetime = as.Status, as.API, s.policy.TokenLifetime
	row.CreatedAt, row.ActivatedAt = cmp.Or(as.ActivatedAt, s.now()), as.ActivatedAt
	switch {
	case s.Sealed():
		s.seal(&row, secret)
	case secret.File == "":
		err = s.files.Save(row, secret, row.Status == store.KeyActive && len(s.keys.Keys) == 0)
	}
	if err == nil && made {
		s.Log.Info("made a signing key", "kid", row.KID, "algorithm", row.Algorithm, "sealed", row.Sealed != "")
	}
	return row, err
}

// seal stores a private half in its row.
func (s *session) seal(row *store.SigningKey, secret vault.Secret) {
	row.Sealed = s.Master.Seal(vault.KeyPlace(row.KID), secret.Raw)
	if secret.File != "" {
		s.Log.Warn("moved the signing key into the database, sealed under auth.master_key; remove its files when all replicas are restarted",
			"kid", row.KID, "file", secret.File)
	}
}

// tell logs changes that were recorded.
func (s *session) tell(changes []store.KeyChange) {
	for _, c := range changes {
		attributes := []any{"kid", c.KID, "algorithm", c.Algorithm, "status", c.Status.String(), "sealed", c.Sealed != ""}
		if c.Status == store.KeyPending {
			attributes = append(attributes, "in", s.policy.Remaining(c.SigningKey, s.now()).String())
		}
		if c.Act.Detail != "" {
			attributes = append(attributes, "cause", c.Act.Detail)
		}
		s.Log.Info("recorded a signing key", attributes...)
	}
}

// authenticate sets the MACs of rows in sealed mode.
func (s *session) authenticate(changes []store.KeyChange) {
	for i := range changes {
		changes[i].MAC = ""
		if s.Sealed() {
			s.rows.Authenticate(&changes[i].SigningKey, s.keys.Keys)
		}
	}
}

// erase removes the files of removed keys.
func (s *session) erase() {
	for _, row := range s.keys.Keys {
		if row.Status == store.KeyRemoved {
			s.files.Erase(s.keys.of(row))
		}
	}
}

// generate makes a key whose ID is not read as a flag on a command line: one of 64
// thumbprints begins with a dash, and such a key is discarded. rsaBits is for RSA only.
func generate(algorithm jose.Algorithm, rsaBits int) (vault.Secret, error) {
	for {
		key, err := jose.GenerateRSA(algorithm, rsaBits)
		if errors.Is(err, jose.ErrAlgorithm) {
			key, err = jose.Generate(algorithm)
		}
		if err != nil {
			return vault.Secret{}, fmt.Errorf("make a signing key: %w", err)
		}
		if !strings.HasPrefix(key.Public().Thumbprint(), "-") {
			return vault.NewSecret(key)
		}
	}
}

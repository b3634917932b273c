package keyring

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/store"
)

var system = identity.Actor{Kind: identity.ActorSystem}

// session changes keys. It holds the lock of the folder unless keys are sealed.
type session struct{ keeper }

// enter begins a session. Close it.
func (k *keeper) enter(ctx context.Context) (s *session, err error) {
	s = &session{*k}
	if !k.Sealed() { // otherwise the folder is only read
		s.files.Writer, err = k.files.Lock(ctx)
	}
	return s, err
}

func (s *session) close() {
	if s.files.Writer != nil {
		s.files.Writer.Close()
	}
}

// apply applies changes, all or none, and returns the changed keys. A private half is
// committed before its row: after a crash in between it was never published and signs
// nothing.
func (s *session) apply(ctx context.Context, now *keys, by identity.Actor, changes ...lifecycle.Change) (*keys, error) {
	var rows []store.KeyChange
	for _, c := range changes {
		row, err := c.Key, error(nil)
		if c.Made() {
			row, err = s.make(now, c.Key, vault.Secret{})
		} else if key, missing := now.key(row.KID); missing == nil && c.Action == identity.ActionKeyActivate {
			_, err = s.secret(key) // a key is not activated without its private half
		}
		if err != nil {
			return now, err
		}
		rows = append(rows, store.KeyChange{SigningKey: row, Act: store.Act{Action: c.Action, By: by, Detail: c.Detail}})
	}
	return s.put(ctx, now, rows...)
}

// make returns the whole row of a key that is not recorded yet, and stores its private
// half: the given one, which may be in a file already, or a new one.
func (s *session) make(now *keys, as store.SigningKey, given vault.Secret) (row store.SigningKey, err error) {
	key := given.Key
	if key == nil {
		if key, err = generate(jose.Algorithm(as.Algorithm), s.RSABits); err != nil {
			return row, err
		}
	}
	if row, err = vault.NewRow(key, now.adopted.Thumbprint); err != nil {
		return row, err
	}
	row.Status, row.API, row.TokenLifetime = as.Status, as.API, s.policy.TokenLifetime
	row.CreatedAt, row.ActivatedAt = cmp.Or(as.ActivatedAt, s.now()), as.ActivatedAt
	switch {
	case s.Sealed() && given.File != "":
		s.move(&row, given)
	case s.Sealed():
		err = s.rows.Save(&row, key)
	case given.File == "":
		err = s.files.Save(row, key, row.Status == store.KeyActive && len(now.Keys) == 0)
	}
	if err == nil && given.Key == nil {
		s.Log.Info("made a signing key", "kid", row.KID, "algorithm", row.Algorithm, "sealed", row.Sealed != "")
	}
	return row, err
}

// move seals the private half of a file in a row.
func (s *session) move(row *store.SigningKey, secret vault.Secret) {
	s.rows.Seal(row, secret.Raw)
	s.Log.Warn("moved the signing key into the database, sealed under auth.master_key; remove its files when all replicas are restarted",
		"kid", row.KID, "file", secret.File)
}

// put records changes and returns the changed keys.
func (s *session) put(ctx context.Context, now *keys, changes ...store.KeyChange) (*keys, error) {
	s.authenticate(now, changes)
	if err := s.Store.PutSigningKeys(ctx, now.Version, changes...); err != nil {
		return now, fmt.Errorf("record the signing keys: %w", err)
	}
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
	now, err := s.load(ctx, true)
	if err == nil {
		s.erase(now)
	}
	return now, err
}

// authenticate sets the MACs of rows in sealed mode.
func (s *session) authenticate(now *keys, changes []store.KeyChange) {
	for i := range changes {
		changes[i].MAC = ""
		if s.Sealed() {
			s.rows.Authenticate(&changes[i].SigningKey, now.Keys)
		}
	}
}

// erase removes the files of removed keys.
func (s *session) erase(now *keys) {
	var all []vault.Key
	for _, row := range now.Keys {
		all = append(all, now.of(row))
	}
	s.files.Erase(all)
}

// generate makes a key whose ID is not read as a flag on a command line: one of 64
// thumbprints begins with a dash, and such a key is discarded. rsaBits is for RSA only.
func generate(algorithm jose.Algorithm, rsaBits int) (*jose.PrivateKey, error) {
	for {
		key, err := jose.GenerateRSA(algorithm, rsaBits)
		if errors.Is(err, jose.ErrAlgorithm) {
			key, err = jose.Generate(algorithm)
		}
		if err != nil {
			return nil, fmt.Errorf("make a signing key: %w", err)
		}
		if !strings.HasPrefix(key.Public().Thumbprint(), "-") {
			return key, nil
		}
	}
}

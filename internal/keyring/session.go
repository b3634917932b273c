package keyring

import (
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
func (k *keeper) enter(ctx context.Context) (*session, error) {
	s := &session{*k}
	if k.atRest == Sealed {
		return s, nil // the folder is only read
	}
	var err error
	s.files.Writer, err = k.files.Lock(ctx)
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
			row, err = s.make(now, c.Key)
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

// make makes the key of a row that has all but the key.
func (s *session) make(now *keys, row store.SigningKey) (store.SigningKey, error) {
	key, err := generate(jose.Algorithm(row.Algorithm), s.rsaBits)
	if err != nil {
		return row, err
	}
	if row, err = s.newRow(now, row, key); err == nil {
		err = s.save(&row, key, row.Status == store.KeyActive && len(now.Keys) == 0)
	}
	if err == nil {
		s.log.Info("made a signing key", "kid", row.KID, "algorithm", row.Algorithm, "at_rest", s.atRest)
	}
	return row, err
}

// newRow completes the row of a key that is not recorded yet.
func (s *session) newRow(now *keys, as store.SigningKey, key *jose.PrivateKey) (store.SigningKey, error) {
	row, err := vault.NewRow(key, now.adopted.Thumbprint)
	row.Status, row.API, row.TokenLifetime = as.Status, as.API, s.policy.TokenLifetime
	row.CreatedAt, row.ActivatedAt = s.now(), as.ActivatedAt
	if !as.ActivatedAt.IsZero() {
		row.CreatedAt = as.ActivatedAt
	}
	return row, err
}

// save stores the private half of a key that is not recorded yet.
func (s *session) save(row *store.SigningKey, key *jose.PrivateKey, first bool) error {
	if s.atRest == Sealed {
		return s.rows.Save(row, key)
	}
	return s.files.Save(*row, key, first)
}

// put records changes and returns the changed keys.
func (s *session) put(ctx context.Context, now *keys, changes ...store.KeyChange) (*keys, error) {
	s.authenticate(now, changes)
	if err := s.store.PutSigningKeys(ctx, now.Version, changes...); err != nil {
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
		s.log.Info("recorded a signing key", attributes...)
	}
	now, err := s.load(ctx, false)
	if err == nil {
		s.erase(now)
	}
	return now, err
}

// authenticate sets the MACs of rows in sealed mode.
func (s *session) authenticate(now *keys, changes []store.KeyChange) {
	for i := range changes {
		changes[i].MAC = ""
		if s.atRest == Sealed {
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

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
type session struct {
	*keeper

	home   vault.Vault   // of new private halves
	writer *vault.Writer // nil: private halves are sealed in the database, and the folder is only read
}

// enter begins a session. Close it.
func (k *keeper) enter(ctx context.Context) (*session, error) {
	if k.atRest == Sealed {
		return &session{keeper: k, home: k.rows}, nil
	}
	writer, err := k.folder.Lock(ctx)
	if err != nil {
		return nil, err
	}
	return &session{keeper: k, home: writer, writer: writer}, nil
}

func (s *session) close() {
	if s.writer != nil {
		s.writer.Close()
	}
}

// apply applies changes, all or none, and returns the changed keys. A private half is
// committed before its row: after a crash in between it was never published and signs
// nothing.
func (s *session) apply(ctx context.Context, now *keys, by identity.Actor, changes ...lifecycle.Change) (*keys, error) {
	var rows []store.KeyChange
	for _, c := range changes {
		act := store.Act{Action: c.Action, By: by, Detail: c.Detail}
		switch key, known := now.known[c.Key.KID]; {
		case c.Made():
			made, err := s.make(now, c.Key)
			if err != nil {
				return now, err
			}
			c.Key = made
		case known && c.Action == identity.ActionKeyActivate:
			if _, err := s.secret(key); err != nil {
				return now, err // a key is not activated without its private half
			}
		}
		rows = append(rows, store.KeyChange{SigningKey: c.Key, Act: act})
	}
	return s.put(ctx, now, rows...)
}

// make makes the key of a row that has all but the key.
func (s *session) make(now *keys, row store.SigningKey) (store.SigningKey, error) {
	key, err := generate(jose.Algorithm(row.Algorithm), s.rsaBits)
	if err != nil {
		return row, err
	}
	row, err = s.asNew(now, row, key)
	if err != nil {
		return row, err
	}
	if s.writer != nil && row.Status == store.KeyActive && len(now.Keys) == 0 {
		err = s.writer.SaveFirst(&row, key)
	} else {
		err = s.home.Save(&row, key)
	}
	if err == nil {
		s.log.Info("made a signing key", "kid", row.KID, "algorithm", row.Algorithm, "at_rest", s.atRest)
	}
	return row, err
}

// asNew completes the row of a key that is not recorded yet.
func (s *session) asNew(now *keys, as store.SigningKey, key *jose.PrivateKey) (store.SigningKey, error) {
	row, err := vault.NewRow(key, now.adopted.Thumbprint)
	row.Status, row.API, row.TokenLifetime = as.Status, as.API, s.policy.TokenLifetime
	row.CreatedAt, row.ActivatedAt, row.RetiredAt = s.now(), as.ActivatedAt, as.RetiredAt
	if !as.ActivatedAt.IsZero() {
		row.CreatedAt = as.ActivatedAt
	}
	return row, err
}

// put records changes and returns the changed keys.
func (s *session) put(ctx context.Context, now *keys, changes ...store.KeyChange) (*keys, error) {
	s.authenticate(now, changes)
	if err := s.store.PutSigningKeys(ctx, now.Version, changes...); err != nil {
		return now, fmt.Errorf("record the signing keys: %w", err)
	}
	return s.recorded(ctx, changes)
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

// recorded logs changes, loads the keys again and arranges the folder.
func (s *session) recorded(ctx context.Context, changes []store.KeyChange) (*keys, error) {
	for _, row := range changes {
		s.log.Info("recorded a signing key", "kid", row.KID, "algorithm", row.Algorithm, "status", row.Status.String(), "sealed", row.Sealed != "")
	}
	now, err := s.load(ctx)
	if err == nil {
		s.arrange(now)
	}
	return now, err
}

// arrange makes the folder match the database.
func (s *session) arrange(now *keys) {
	if s.writer != nil {
		s.writer.Arrange(now.all(lifecycle.Order(now.KeySet)))
	}
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

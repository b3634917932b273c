package keyring

import (
	"cmp"
	"context"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Admin is the operations of an operator on the keys. It changes the database and the
// folder beside running servers, which follow a change within five seconds.
type Admin struct{ keeper *keeper }

// NewAdmin returns an Admin.
func NewAdmin(cfg Config) (*Admin, error) {
	k, err := newKeeper(cfg)
	if err != nil {
		return nil, err
	}
	return &Admin{k}, nil
}

// Default returns the algorithm that is configured for the tokens of the API.
func (a *Admin) Default() jose.Algorithm { return a.keeper.policy.Default }

// Keys describes all keys in the order of the key set, the removed ones last. There may
// be none yet.
func (a *Admin) Keys(ctx context.Context) (all []KeyInfo, err error) {
	k := a.keeper
	now, err := k.load(ctx, false)
	if err != nil {
		return nil, err
	}
	for _, row := range lifecycle.Order(now.all) {
		info := k.info(now, row)
		if row.Status == store.KeyPending || row.Status == store.KeyActive {
			info.Problem = problem(k.available(now, row.KID))
		}
		all = append(all, info)
	}
	return all, nil
}

// Published returns the published keys. It is an error when there is none: the first
// start makes it, or finds it in the folder.
func (a *Admin) Published(ctx context.Context) (*Published, error) {
	k := a.keeper
	now, err := k.load(ctx, false)
	if err == nil {
		err = k.holds(now, "")
	}
	if err != nil {
		return nil, err
	}
	return k.publish(now), nil
}

// Key describes one key. The error is NotFound when there is no key with this ID.
func (a *Admin) Key(ctx context.Context, kid string) (KeyInfo, error) {
	all, err := a.Keys(ctx)
	for _, info := range all {
		if info.KID == kid {
			return info, nil
		}
	}
	if err == nil {
		err = errNoSuchKey
	}
	return KeyInfo{}, err
}

// algorithm returns the algorithm of a command: empty is auth.algorithm.
func (a *Admin) algorithm(asked jose.Algorithm) (jose.Algorithm, error) {
	asked = cmp.Or(asked, a.Default())
	if !a.keeper.policy.Configured(string(asked)) {
		return "", fault.New(fault.Invalid, "algorithm", fmt.Sprintf("%s is neither auth.algorithm nor one of keys.algorithms; add it to keys.algorithms and restart the servers", asked))
	}
	return asked, nil
}

// Rotate makes a key of an algorithm (empty: the default one) and publishes it; it signs
// after PublishAhead. If a key of the algorithm is pending already, it returns that one.
// With now the key signs at once, and services with a cached key set that they do not
// fetch again refuse its tokens.
func (a *Admin) Rotate(ctx context.Context, by identity.Actor, algorithm jose.Algorithm, now bool) (kid string, made bool, err error) {
	if algorithm, err = a.algorithm(algorithm); err != nil {
		return "", false, err
	}
	kid, err = a.keeper.change(ctx, by, func(s *session) (kid string, err error) {
		kid, made, err = s.rotate(ctx, algorithm, now)
		return kid, err
	})
	return kid, made, err
}

func (s *session) rotate(ctx context.Context, algorithm jose.Algorithm, now bool) (kid string, made bool, err error) {
	if err := s.holds(s.keys, ""); err != nil {
		return "", false, err
	}
	next := s.policy.Next(s.keys.KeySet, algorithm)
	changes := []store.KeyChange{s.policy.Make(algorithm)}
	made = next.KID == ""
	switch {
	case now && lifecycle.Untimely(s.keys.KeySet, next):
		return "", false, fault.New(fault.Conflict, "key_status", "the active key of this algorithm still signs the tokens of the API; a key for clients becomes active when the change of auth.algorithm is complete")
	case now:
		changes = s.policy.Activate(s.keys.KeySet, next, s.now())
		changes[len(changes)-1].Act.Detail = "now"
	case !made:
		return next.KID, false, nil
	}
	kid, err = s.apply(ctx, changes...)
	return kid, made, err
}

// Retire ends the use of a key without an interruption. A pending one is withdrawn: it
// has signed nothing. For an active one a successor is published, which replaces it
// later. For any other status the error is a Conflict.
func (a *Admin) Retire(ctx context.Context, by identity.Actor, kid string) (successor string, err error) {
	return a.keeper.change(ctx, by, func(s *session) (string, error) {
		key, err := s.keys.key(kid)
		switch {
		case err != nil:
			return "", err
		case key.Status == store.KeyPending:
			_, err := s.apply(ctx, lifecycle.Withdraw(key.SigningKey, s.now(), ""))
			return "", err
		case key.Status != store.KeyActive:
			return "", fault.New(fault.Conflict, "key_status", "the signing key is "+key.Status.String())
		}
		algorithm := jose.Algorithm(key.Algorithm) // of its successor
		if !s.policy.Configured(key.Algorithm) {
			algorithm = s.policy.Default
		}
		successor, _, err := s.rotate(ctx, algorithm, false)
		return successor, err
	})
}

// Revoke ends a key at once: every token that it signed is refused from then on. If it
// was active, the pending key or a new one signs at once, the successor; otherwise
// successor is empty. With lost it works without the private half of the active keys,
// after the loss of the files or of the master key.
func (a *Admin) Revoke(ctx context.Context, by identity.Actor, kid string, lost bool) (successor string, err error) {
	return a.keeper.change(ctx, by, func(s *session) (string, error) {
		row := s.keys.all.Key(kid)
		if row == nil {
			return "", errNoSuchKey
		}
		if row.Status == store.KeyRemoved {
			return "", fault.New(fault.Conflict, "key_status", "the signing key is removed already; its tokens are refused")
		}
		set := s.keys.KeySet
		if lost {
			set = s.keys.all // without the previous master key all rows are refused
		} else if row.Status == store.KeyActive {
			if err := s.holds(s.keys, kid); err != nil {
				return "", err
			}
		}
		changes := s.policy.Revoke(set, *row, s.now(), func(pending store.SigningKey) bool { return s.available(s.keys, pending.KID) == nil })
		for i, c := range changes {
			if s.keys.refused[c.KID] != nil && c.Status != store.KeyRemoved {
				// What is written is authentic from then on, and someone else may have written the row.
				changes[i] = lifecycle.Withdraw(c.SigningKey, s.now(), "its row is not trusted")
			}
		}
		last, err := s.apply(ctx, changes...)
		if changes[len(changes)-1].Act.Action != identity.ActionKeyActivate {
			last = ""
		}
		return last, err
	})
}

// Accept authenticates the row of a key as it is, after an operator has found the cause
// of its change.
func (a *Admin) Accept(ctx context.Context, by identity.Actor, kid string) error {
	if !a.keeper.Sealed() {
		return fault.New(fault.Conflict, "at_rest", "rows of signing keys are authenticated only if the keys are sealed (keys.at_rest)")
	}
	_, err := a.keeper.change(ctx, by, func(s *session) (string, error) {
		row := s.keys.all.Key(kid)
		if row == nil {
			return "", errNoSuchKey
		}
		if s.keys.Key(kid) != nil {
			return "", fault.New(fault.Conflict, "key_row", "the row of this signing key is authentic already")
		}
		key, err := vault.Parse(*row, s.keys.adopted.Thumbprint)
		if err == nil && (len(s.keys.Keys) == 0 || row.Sealed != "") { // otherwise nothing shows that this is the right master key
			_, err = s.secret(key)
		}
		if err != nil {
			return "", err
		}
		return s.apply(ctx, store.KeyChange{SigningKey: *row, Act: store.Act{Action: identity.ActionKeyAccept, Detail: row.Status.String()}})
	})
	return err
}

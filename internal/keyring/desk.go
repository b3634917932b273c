package keyring

import (
	"context"
	"errors"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Desk is where an operator changes the keys. It works on the database and the
// folder, beside running servers: they take a change up within five seconds.
type Desk struct{ o *opener }

// NewDesk returns a desk. cfg must have a Store.
func NewDesk(cfg Config) (*Desk, error) {
	o, err := newOpener(cfg)
	if err != nil {
		return nil, err
	}
	return &Desk{o}, nil
}

// Keys describes every key that there ever was, in the order of the key set,
// removed ones last. There may be none yet. It changes nothing, also in the folder.
func (d *Desk) Keys(ctx context.Context) (all []KeyInfo, err error) {
	o := *d.o // no lock is taken, so nothing may be written
	o.folder.readOnly, o.secretOnly = true, true
	set, _, err := o.recorded(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range inOrder(set.Keys) {
		info, err := o.info(row)
		if err != nil {
			// That one key cannot be used must not keep the others from being changed.
			o.log.Warn("a signing key cannot be used", "kid", row.KID, "status", row.Status, "error", err)
		} else if row.Status == store.KeyNext || row.Status == store.KeyActive {
			_, err = o.private(row)
		}
		info.Problem = problem(err)
		all = append(all, info)
	}
	return all, nil
}

// Key describes one key, NotFound when there is none of that id.
func (d *Desk) Key(ctx context.Context, kid string) (KeyInfo, error) {
	all, err := d.Keys(ctx)
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

var errNoSuchKey = fault.New(fault.NotFound, "not_found", "there is no such signing key")

// change runs do on the recorded keys, again when another process was faster.
func (d *Desk) change(ctx context.Context, do func(o *opener, set store.KeySet, adopted string) error) error {
	return d.o.inside(ctx, func(o *opener) error {
		for attempt := 1; ; attempt++ {
			set, adopted, err := o.recorded(ctx)
			if err != nil {
				return err
			}
			if set.Active() == nil {
				return fault.New(fault.Conflict, "no_signing_key", "no signing key is active; the next start of the server sees to it")
			}
			err = do(o, set, adopted.Thumbprint)
			if !errors.Is(err, store.ErrKeysChanged) || attempt == maxAttempts {
				return err
			}
		}
	})
}

// holds refuses to make keys where the active one is not to be had: another master
// key, or none, or another folder than the servers' would make one that none of
// them can get at.
func (o *opener) holds(set store.KeySet) error {
	_, err := o.private(*set.Active())
	return err
}

// Rotate makes a key of the configured algorithm and publishes it; it signs when
// that was long enough. Where such a key waits already, it is that one. With now
// it signs at once, and tokens are refused by those who keep a key set without
// it and do not look again.
func (d *Desk) Rotate(ctx context.Context, by identity.Actor, now bool) (kid string, made bool, err error) {
	err = d.change(ctx, func(o *opener, set store.KeySet, adopted string) error {
		if err := o.holds(set); err != nil {
			return err
		}
		next := set.Next()
		if next == nil {
			change, err := o.newNext(o.files.algorithm, adopted, store.Act{Action: identity.ActionKeyRotate, By: by})
			if err != nil {
				return err
			}
			if set, err = o.put(ctx, set, change); err != nil {
				return err
			}
			made, next = true, set.Key(change.KID)
		}
		kid = next.KID
		if !now {
			return nil
		}
		_, err := o.activate(ctx, set, *next, store.Act{Action: identity.ActionKeyActivate, By: by, Detail: "now"})
		return err
	})
	return kid, made, err
}

// Withdraw ends a next key before it has signed; for keys of any other status it
// is a Conflict.
func (d *Desk) Withdraw(ctx context.Context, by identity.Actor, kid string) error {
	return d.change(ctx, func(o *opener, set store.KeySet, _ string) error {
		row, err := known(set, kid)
		if err != nil {
			return err
		}
		if row.Status != store.KeyNext {
			return fault.New(fault.Conflict, "key_status", "the signing key is "+string(row.Status))
		}
		_, err = o.remove(ctx, set, store.Act{Action: identity.ActionKeyWithdraw, By: by}, row)
		return err
	})
}

// Revoke ends a key at once: every token that it signed is refused from then on.
// Where it was the active one, another signs at once: the next key, or a new one;
// its id is returned, else it is empty.
func (d *Desk) Revoke(ctx context.Context, by identity.Actor, kid string) (successor string, err error) {
	act := store.Act{Action: identity.ActionKeyRevoke, By: by}
	err = d.change(ctx, func(o *opener, set store.KeySet, adopted string) error {
		row, err := known(set, kid)
		switch {
		case err != nil:
			return err
		case row.Status == store.KeyRemoved:
			return fault.New(fault.Conflict, "key_status", "the signing key is removed already; nothing that it signed is accepted")
		case row.Status != store.KeyActive:
			_, err = o.remove(ctx, set, act, row)
			return err
		}
		if err := o.holds(set); err != nil {
			return err
		}
		row.Status = store.KeyRemoved
		changes, err := o.successor(set, adopted, store.Act{Action: identity.ActionKeyActivate, By: by, Detail: "after the revocation of " + kid})
		if err != nil {
			return err
		}
		successor = changes[len(changes)-1].KID
		if set, err = o.put(ctx, set, append([]store.KeyChange{{SigningKey: row, Act: act}}, changes...)...); err == nil {
			o.arrange(set)
		}
		return err
	})
	return successor, err
}

// successor is, last, the key that takes over without having waited its time: the
// next one, or where its private half is not to be had a new one. To end a leaked
// key must not depend on another.
func (o *opener) successor(set store.KeySet, adopted string, act store.Act) (changes []store.KeyChange, err error) {
	change := store.KeyChange{Act: act}
	if next := set.Next(); next != nil {
		change.SigningKey = *next
		if _, err := o.private(*next); err != nil {
			o.log.Warn("the next signing key is not to be had; a new one takes over", "kid", next.KID, "error", err)
			lost := store.KeyChange{SigningKey: *next, Act: store.Act{Action: identity.ActionKeyWithdraw, By: act.By, Detail: "its private half is lost"}}
			lost.Status, change.SigningKey = store.KeyRemoved, store.SigningKey{}
			changes = append(changes, lost)
		}
	}
	if change.KID == "" {
		if change, err = o.newNext(o.files.algorithm, adopted, act); err != nil {
			return nil, err
		}
	}
	change.Status, change.TokenLife = store.KeyActive, max(change.TokenLife, o.tokenLife)
	return append(changes, change), nil
}

// Public returns the public half of a key, also of a removed one, and its entry
// of the key set.
func (d *Desk) Public(ctx context.Context, kid string) (*jose.PublicKey, jose.JWK, error) {
	set, _, err := d.o.recorded(ctx)
	if err != nil {
		return nil, jose.JWK{}, err
	}
	row, err := known(set, kid)
	if err != nil {
		return nil, jose.JWK{}, err
	}
	return d.o.publicHalf(row)
}

func known(set store.KeySet, kid string) (store.SigningKey, error) {
	if row := set.Key(kid); row != nil {
		return *row, nil
	}
	return store.SigningKey{}, errNoSuchKey
}

// Reseal seals everything anew under the master key that was sealed under the
// former one, and returns how much that was. It may be repeated.
func (d *Desk) Reseal(ctx context.Context, by identity.Actor) (int, error) {
	o := d.o
	if o.master == nil {
		return 0, fault.New(fault.Invalid, "master_key", "auth.master_key is not set; nothing can be sealed under it")
	}
	return o.store.Reseal(ctx, store.Act{Action: identity.ActionKeyReseal, By: by}, func(s store.Sealed) (string, error) {
		place := sealedPlace(s)
		if o.master.Sealed(s.Text) {
			_, err := o.openSealed(place, s.Text, s.Row) // else who removes the former key learns of damage too late
			return s.Text, err
		}
		secret, err := o.openSealed(place, s.Text, s.Row)
		if err != nil {
			return "", err
		}
		return o.master.Seal(place, secret), nil
	})
}

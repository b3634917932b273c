package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/store"
)

const (
	// recheckPause bounds the cost of tokens with made-up key IDs: it is the least time
	// between two reads of the database.
	recheckPause = 50 * time.Millisecond
	// recheckTimeout bounds how long such a token waits for the database.
	recheckTimeout = 2 * time.Second
)

// Refresh loads the keys again if another process changed them; otherwise it costs one
// small read. After an error the keys stay as they were, except that the other keys are
// updated if only a private half is unavailable or a row is refused. Such an error is
// returned once for each change.
func (r *Ring) Refresh(ctx context.Context) error {
	return r.check(ctx, func() error { return r.refresh(ctx, false) })
}

// Recheck is Refresh for a token of a key that is not in the set: another replica may
// have just begun to sign with it. Concurrent callers share one check.
func (r *Ring) Recheck(ctx context.Context) error {
	asked := time.Now()
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	return r.check(ctx, func() error {
		if r.checked.After(asked) {
			return nil
		}
		select {
		case <-time.After(recheckPause - time.Since(r.checked)):
			return r.refresh(ctx, false)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// check runs one check for changes at a time.
func (r *Ring) check(ctx context.Context, do func() error) error {
	select {
	case r.checking <- struct{}{}:
		defer func() { <-r.checking }()
		return do()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refresh loads the keys if they changed. With all it loads them anyway, since the
// counted time is no change.
func (r *Ring) refresh(ctx context.Context, all bool) error {
	r.checked = time.Now()
	k, now := r.keeper, r.held.Load()
	begin := k.Monotonic()
	version, err := k.Store.KeySetVersion(ctx)
	if err != nil {
		return err
	}
	if version == now.keys.Version && !now.behind && !all {
		r.seen.Store(int64(begin))
		return nil
	}
	loaded, err := k.load(ctx, true)
	if err != nil {
		return err
	}
	refused, failed := r.follow(ctx, loaded)
	if version == now.keys.Version {
		return nil // returned before
	}
	return errors.Join(failed, refused)
}

// follow publishes loaded keys and signs with the active ones. refused is a row, failed a
// private half that is unavailable.
func (r *Ring) follow(ctx context.Context, loaded *keys) (refused, failed error) {
	before := r.held.Load()
	refused = r.history.correct(ctx, r.keeper, loaded)
	if loaded.Version != before.keys.Version {
		r.keeper.warnOfClocks(loaded)
	}
	next, failed := r.keeper.take(ctx, loaded, before)
	r.held.Store(next)
	r.seen.Store(int64(loaded.read))
	return refused, failed
}

// take returns the keys with a signer for each active one. If one is unavailable the
// former one of its algorithm signs while it is published, and failed is the cause.
func (k *keeper) take(ctx context.Context, now *keys, before *Published) (next *Published, failed error) {
	next = k.publish(now)
	for _, row := range now.Keys {
		algorithm := jose.Algorithm(row.Algorithm)
		former := before.signers[algorithm]
		switch {
		case row.Status == store.KeyPending && k.policy.Remaining(row, k.now()) <= 0:
			next.behind = next.behind || k.available(now, row.KID) != nil // another replica may activate it
			continue
		case row.Status != store.KeyActive:
			continue
		case row.KID == former.KID:
			next.signers[algorithm] = former
			continue
		}
		signer, err := k.signer(ctx, now.of(row))
		if err == nil {
			next.signers[algorithm] = signer
			if former.KID != "" {
				k.Log.Info("signing with another active key", "kid", row.KID, "algorithm", algorithm)
			}
			continue
		}
		next.behind = true
		if next.Key(former.KID) != nil { // otherwise its tokens would be refused
			next.signers[algorithm] = former
			err = errors.Join(fmt.Errorf("still signing with %s: %w", former.KID, err), k.Store.RecountKey(ctx, former.KID))
		}
		failed = errors.Join(failed, err)
	}
	if signer := lifecycle.Signer(now.KeySet); signer != nil {
		next.signing = jose.Algorithm(signer.Algorithm)
	}
	if was := before.signers[before.signing]; was.KID != "" && next.signers[next.signing].KID == "" {
		failed = errors.Join(fmt.Errorf("signing is unavailable: %s is not an active key any more", was.KID), failed)
	}
	return next, failed
}

// signer returns the signer of an active key. Its row records the lifetime of this
// server's tokens before it signs one.
func (k *keeper) signer(ctx context.Context, key vault.Key) (Signer, error) {
	secret, err := k.secret(key)
	if err == nil && key.TokenLifetime < k.policy.TokenLifetime {
		err = k.Store.RaiseTokenLifetime(ctx, key.KID, k.policy.TokenLifetime)
	}
	if err != nil {
		return Signer{}, err
	}
	algorithm := key.PublicKey.Algorithm()
	return Signer{KID: key.KID, Algorithm: algorithm, signer: jose.NewSigner(secret.Key, key.KID)}, nil
}

// warnOfClocks logs retiring keys that stay in the key set longer than the lifetime of
// their tokens, since they were retired by a clock that was ahead.
func (k *keeper) warnOfClocks(now *keys) {
	for _, row := range now.Keys {
		if row.Status == store.KeyRetiring && row.RetiredAt.Sub(k.Now()) > lifecycle.Leeway {
			k.Log.Warn("a signing key was retired in the future, by a clock that was ahead; it stays in the key set until then plus the lifetime of its tokens, or until it is revoked",
				"kid", row.KID, "retired_at", row.RetiredAt, "until", row.RetiredAt.Add(k.policy.Keep(row)))
		}
	}
}

// history is the rows that a server has read. A key never goes back in its lifecycle,
// whatever its row says later: a revoked key stays revoked until the process ends.
type history struct {
	seen     map[string]vault.Key // by key ID, as each valid row was read last
	reported map[string]string    // what was last reported of a row, by key ID
}

// correct puts the last valid row in the place of each that went back, and of an active
// one that is missing, since no server deletes rows. A change that no server made is
// returned as the error, and once written to the log and the audit log.
func (h history) correct(ctx context.Context, k *keeper, now *keys) error {
	var all []error
	refuse := func(row store.SigningKey, cause error) { all = append(all, h.report(ctx, k, row, cause)) }
	for i, row := range now.Keys {
		before, known := h.seen[row.KID]
		if known && lifecycle.Rank(row.Status) < lifecycle.Rank(before.Status) {
			refuse(row, fmt.Errorf("the signing key %s is %s in the database and was %s; the change is ignored", row.KID, row.Status, before.Status))
			now.Keys[i] = before.SigningKey
			continue
		}
		h.seen[row.KID] = now.of(row)
		delete(h.reported, row.KID)
	}
	for kid, cause := range now.refused {
		refuse(*now.all.Key(kid), cause)
	}
	for kid, key := range h.seen {
		if key.Status == store.KeyActive && now.all.Key(kid) == nil && now.First(store.KeyActive, key.Algorithm) == nil {
			refuse(key.SigningKey, fmt.Errorf("the row of the active signing key %s is missing in the database; the key is used until the next start", kid))
			now.add(key)
		}
	}
	return errors.Join(all...)
}

// report logs the cause once for each change of a row.
func (h history) report(ctx context.Context, k *keeper, row store.SigningKey, cause error) error {
	text := row.Status.String() + row.MAC + cause.Error()
	if h.reported[row.KID] == text {
		return nil
	}
	h.reported[row.KID] = text
	k.Log.Error("signing key row refused", "kid", row.KID, "algorithm", row.Algorithm, "status", row.Status.String(), "error", cause)
	act := store.Act{Action: identity.ActionKeyRefuse, By: system, Detail: problem(cause)}
	return errors.Join(cause, k.Store.NoteKey(ctx, act, row.KID))
}

package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
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
	select {
	case r.checking <- struct{}{}:
		defer func() { <-r.checking }()
		return r.refresh(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Ring) refresh(ctx context.Context) error {
	r.checked = time.Now()
	k, now := r.keeper, r.held.Load()
	begin := k.monotonic()
	version, err := k.store.KeySetVersion(ctx)
	if err != nil {
		return err
	}
	if version == now.keys.Version && !now.behind {
		r.seen.Store(int64(begin))
		return nil
	}
	loaded, err := k.load(ctx, false)
	if err != nil {
		return err
	}
	loaded, refused := r.history.merge(ctx, loaded)
	if loaded.Version != now.keys.Version {
		k.warnOfClocks(loaded)
		r.lacked.Store(false) // another replica has activated it, or it was withdrawn; or the next step fails again
	}
	next, failed, err := k.take(ctx, loaded, now)
	if err != nil {
		return err
	}
	r.held.Store(next)
	r.seen.Store(int64(begin))
	if version == now.keys.Version {
		return nil // returned before
	}
	return errors.Join(failed, refused)
}

// take returns the keys with a signer for each active one. If one is unavailable the
// former one of its algorithm signs while it is published, and failed is the cause.
func (k *keeper) take(ctx context.Context, now *keys, before *held) (next *held, failed, err error) {
	next = &held{keys: now, signers: map[jose.Algorithm]Signer{}, legacy: before.legacy}
	if next.Published, err = k.publish(now); err != nil {
		return nil, nil, err
	}
	unraised := k.raise(ctx, now)
	for _, row := range now.Keys {
		if row.Status != store.KeyActive {
			continue
		}
		algorithm := jose.Algorithm(row.Algorithm)
		former := before.signers[algorithm]
		if former.KID == row.KID {
			next.signers[algorithm] = former
			continue
		}
		secret, err := k.secret(now.of(row))
		if err = errors.Join(unraised, err); err == nil {
			next.signers[algorithm] = Signer{KID: row.KID, Algorithm: algorithm, signer: jose.NewSigner(secret.Key, row.KID)}
			if former.KID != "" {
				k.log.Info("signing with another active key", "kid", row.KID, "algorithm", algorithm)
			}
			continue
		}
		next.behind = true
		failed = errors.Join(failed, k.keepFormer(ctx, next, algorithm, former, err))
	}
	if signer := lifecycle.Signer(now.KeySet); signer != nil {
		next.signing = jose.Algorithm(signer.Algorithm)
	}
	if was := before.signers[before.signing]; was.KID != "" && next.signers[next.signing].KID == "" {
		failed = errors.Join(fmt.Errorf("signing is unavailable: %s is not an active key any more", was.KID), failed)
	}
	return next, failed, nil
}

// keepFormer keeps signing with the former key of an algorithm, and delays its removal.
func (k *keeper) keepFormer(ctx context.Context, next *held, algorithm jose.Algorithm, former Signer, cause error) error {
	info, published := next.find(former.KID)
	if !published {
		return cause // its tokens would be refused
	}
	next.signers[algorithm] = former
	cause = fmt.Errorf("still signing with %s: %w", former.KID, cause)
	if info.Status != store.KeyRetiring {
		return cause
	}
	return errors.Join(cause, k.store.RecountKey(ctx, info.KID))
}

// Recheck is Refresh for a token of a key that is not in the set: another replica may
// have just begun to sign with it. Concurrent callers share one check.
func (r *Ring) Recheck(ctx context.Context) error {
	asked := time.Now()
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	select {
	case r.checking <- struct{}{}:
		defer func() { <-r.checking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.checked.After(asked) {
		return nil
	}
	select {
	case <-time.After(recheckPause - time.Since(r.checked)):
		return r.refresh(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

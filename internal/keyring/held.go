package keyring

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/store"
)

const (
	// recheckPause bounds what tokens of made-up keys can cost: so often a
	// second the database is asked, whoever asks.
	recheckPause = 50 * time.Millisecond
	// recheckTimeout bounds how long such a token waits for the database.
	recheckTimeout = 2 * time.Second
)

// hold prepares the recorded keys for use. signing is the active one.
func (o *opener) hold(set store.KeySet, signing *jose.PrivateKey) (*held, error) {
	active := set.Active()
	h := &held{kid: active.KID, signer: jose.NewSigner(signing, active.KID)}
	return h, o.publish(h, set)
}

// publish fills in the key set. The key that signs comes first. The others are
// published for the tokens that they signed before, but for ML-DSA keys: many
// clients refuse a whole set for one key type that they do not know.
func (o *opener) publish(h *held, set store.KeySet) error {
	h.version = set.Version
	keys := jose.JWKSet{Keys: []jose.JWK{}}
	for _, first := range []bool{true, false} {
		for _, row := range set.Keys {
			public, jwk, err := publicHalf(row)
			switch {
			case err != nil:
				return err
			case (row.Status == store.KeyActive) != first, !first && jwk.Kty == "AKP" && row.KID != h.kid:
				continue
			}
			info, err := o.info(row, public)
			if err != nil {
				return err
			}
			h.infos, keys.Keys = append(h.infos, info), append(keys.Keys, jwk)
		}
	}
	body, err := json.Marshal(keys)
	if err != nil {
		return fmt.Errorf("encode the key set: %w", err)
	}
	sum := sha256.Sum256(body)
	h.jwks, h.etag = slices.Clip(body), `"`+base64.RawURLEncoding.EncodeToString(sum[:])+`"`
	return nil
}

func (o *opener) info(row store.SigningKey, public *jose.PublicKey) (KeyInfo, error) {
	info := KeyInfo{KID: row.KID, Algorithm: public.Algorithm(), Thumbprint: public.Thumbprint(), Status: VerifyOnly}
	if row.Status == store.KeyActive {
		info.Status = Active
	}
	if row.Sealed != "" {
		return info, nil
	}
	files, err := filesOf(info.Algorithm)
	info.File = o.folder.join(files.private)
	return info, err
}

// Refresh takes up what another process changed in the keys. It costs one small
// read when nothing has. An error leaves the keys as they are, or, where only
// the new private key is not to be had, says that this process goes on signing
// with the former one; it is returned once for each change.
func (r *Ring) Refresh(ctx context.Context) error {
	r.checking.Lock()
	defer r.checking.Unlock()
	return r.refresh(ctx)
}

func (r *Ring) refresh(ctx context.Context) error {
	r.checked = time.Now()
	o, now := r.opener, r.held.Load()
	if o.store == nil {
		return nil
	}
	version, err := o.store.KeySetVersion(ctx)
	if err != nil || version == now.version {
		return err
	}
	set, err := o.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	next, err := o.follow(set, now)
	if next != nil {
		r.held.Store(next)
	}
	return err
}

// follow returns the keys after a change by somebody else.
func (o *opener) follow(set store.KeySet, now *held) (*held, error) {
	next := &held{kid: now.kid, signer: now.signer, legacy: now.legacy}
	active := set.Active()
	if active == nil { // forgotten; the next start makes another
		unchanged := *now
		unchanged.version = set.Version
		return &unchanged, fmt.Errorf("no signing key is active any more; going on with %s until the next start", now.kid)
	}
	var failed error
	if active.KID != now.kid {
		signing, err := o.private(*active)
		if err == nil {
			next.kid, next.signer = active.KID, jose.NewSigner(signing, active.KID)
			o.log.Info("took up another active signing key", "kid", active.KID, "algorithm", active.Algorithm)
		} else {
			failed = fmt.Errorf("going on signing with %s: %w", now.kid, err)
		}
	}
	if err := o.publish(next, set); err != nil {
		return nil, err
	}
	return next, failed
}

// Recheck is Refresh for a token of a key that is not in the set: another
// replica may have begun to sign with it a moment ago. Callers that wait
// together share one look.
func (r *Ring) Recheck(ctx context.Context) error {
	asked := time.Now()
	r.checking.Lock()
	defer r.checking.Unlock()
	if r.checked.After(asked) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	select {
	case <-time.After(recheckPause - time.Since(r.checked)):
		return r.refresh(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

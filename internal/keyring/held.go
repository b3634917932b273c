package keyring

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	leftOut, err := o.publish(h, set)
	if leftOut != nil {
		o.log.Error("left a signing key out of the key set", "error", leftOut)
	}
	return h, err
}

// publish fills in the key set. A row that cannot be used is left out and said in
// leftOut: the tokens of all other keys are still good.
func (o *opener) publish(h *held, set store.KeySet) (leftOut, err error) {
	h.version = set.Version
	keys := jose.JWKSet{Keys: []jose.JWK{}}
	for _, row := range inOrder(set.Keys) {
		if row.Status != store.KeyActive && row.Status != store.KeyNext && row.Status != store.KeyRetiring {
			continue // removed, or what only a later version knows
		}
		_, jwk, err := o.publicHalf(row)
		if err != nil {
			leftOut = errors.Join(leftOut, err)
			continue
		}
		info, err := o.info(row)
		if err != nil {
			return leftOut, err
		}
		h.infos, keys.Keys = append(h.infos, info), append(keys.Keys, jwk)
		h.underWay = h.underWay || row.Status != store.KeyActive
	}
	body, err := json.Marshal(keys)
	if err != nil {
		return leftOut, fmt.Errorf("encode the key set: %w", err)
	}
	sum := sha256.Sum256(body)
	h.jwks, h.etag = slices.Clip(body), `"`+base64.RawURLEncoding.EncodeToString(sum[:])+`"`
	return leftOut, nil
}

// describes returns the description of a key that is in the set.
func (h *held) describes(kid string) (KeyInfo, bool) {
	i := slices.IndexFunc(h.infos, func(k KeyInfo) bool { return k.KID == kid })
	if i < 0 {
		return KeyInfo{KID: kid}, false
	}
	return h.infos[i], true
}

// inOrder puts the key that signs first, since there are clients that take the
// first one, then the next, then those that signed before, the last one first.
func inOrder(rows []store.SigningKey) []store.SigningKey {
	order := []store.KeyStatus{store.KeyActive, store.KeyNext, store.KeyRetiring, store.KeyRemoved}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b store.SigningKey) int {
		return cmp.Or(
			slices.Index(order, a.Status)-slices.Index(order, b.Status),
			b.RemovedAt.Compare(a.RemovedAt), b.RetiredAt.Compare(a.RetiredAt), strings.Compare(a.KID, b.KID))
	})
	return rows
}

func (o *opener) info(row store.SigningKey) (KeyInfo, error) {
	info := KeyInfo{
		KID: row.KID, Algorithm: jose.Algorithm(row.Algorithm), Status: row.Status,
		CreatedAt: row.CreatedAt, ActivatedAt: row.ActivatedAt, RetiredAt: row.RetiredAt, RemovedAt: row.RemovedAt,
		Due: max(o.untilDue(row), 0),
	}
	public, _, err := o.publicHalf(row)
	if err != nil {
		return info, err
	}
	info.Thumbprint = public.Thumbprint()
	files, err := filesOf(info.Algorithm)
	switch {
	case err != nil:
		return info, err
	case row.Status == store.KeyRemoved:
		info.File = o.left(files, info)
	case row.Sealed != "":
	case o.folder.exists(files.own(row.KID)):
		info.File = o.folder.join(files.own(row.KID))
	default:
		info.File = o.folder.join(files.private)
	}
	return info, nil
}

// left is the file in which the private half of a removed key still is: where keys
// are sealed, or the folder cannot be written, nobody erases it. Empty: none.
func (o *opener) left(files pairFiles, info KeyInfo) string {
	if o.folder.exists(files.own(info.KID)) {
		return o.folder.join(files.own(info.KID))
	}
	raw, err := o.folder.readPrivate(files.private)
	if err != nil {
		return ""
	}
	if key, err := files.parse(raw); err == nil && key.Public().Thumbprint() == info.Thumbprint {
		return o.folder.join(files.private)
	}
	return ""
}

// Refresh takes up what another process changed in the keys. It costs one small
// read when nothing has. An error leaves the keys as they are, or, where only
// the new private key is not to be had, says that this process goes on signing
// with the former one; it is returned once for each change.
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
	o, now := r.opener, r.held.Load()
	if o.store == nil {
		return nil
	}
	begin := o.monotonic()
	version, err := o.store.KeySetVersion(ctx)
	if err != nil {
		return err
	}
	if version == now.version && !now.behind {
		r.seen.Store(int64(begin))
		return nil
	}
	set, err := o.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	next, err := o.follow(ctx, set, now)
	if next != nil {
		r.held.Store(next)
		r.seen.Store(int64(begin))
	}
	if version == now.version {
		return nil // told already
	}
	return err
}

// follow returns the keys after a change by somebody else.
func (o *opener) follow(ctx context.Context, set store.KeySet, now *held) (*held, error) {
	next := &held{kid: now.kid, signer: now.signer, legacy: now.legacy}
	if set.Version != now.version {
		o.tellOfClocks(set)
	}
	active := set.Active()
	if active == nil { // forgotten; the next start makes another
		unchanged := *now
		unchanged.version, unchanged.behind = set.Version, false
		return &unchanged, fmt.Errorf("no signing key is active any more; going on with %s until the next start", now.kid)
	}
	failed := o.raise(ctx, set)
	if failed == nil && active.KID != now.kid {
		failed = o.takeUp(next, *active)
	}
	if failed != nil {
		next.behind = true
		failed = fmt.Errorf("going on signing with %s: %w", now.kid, failed)
	}
	leftOut, err := o.publish(next, set)
	if err != nil {
		return nil, err
	}
	failed = errors.Join(failed, leftOut)
	switch info, published := next.describes(next.kid); {
	case !published:
		next.signer = nil // whatever it signed would be refused
		failed = errors.Join(fmt.Errorf("signing nothing: %s is no key any more", next.kid), failed)
	case next.behind && info.Status == Retiring:
		// It must not be removed while tokens are signed with it.
		failed = errors.Join(failed, o.store.RecountKey(ctx, info.KID))
	}
	return next, failed
}

func (o *opener) takeUp(h *held, active store.SigningKey) error {
	signing, err := o.private(active)
	if err != nil {
		return err
	}
	h.kid, h.signer = active.KID, jose.NewSigner(signing, active.KID)
	o.log.Info("took up another active signing key", "kid", active.KID, "algorithm", active.Algorithm)
	return nil
}

// Behind reports whether another key is active, or due to be, and this process
// could not get at its private half.
func (r *Ring) Behind() bool {
	h, lacked := r.held.Load(), r.lacked.Load()
	if lacked == nil {
		return h.behind
	}
	info, _ := h.describes(*lacked)
	return h.behind || info.Status == Next // else somebody could get at it, or it was withdrawn
}

// Recheck is Refresh for a token of a key that is not in the set: another
// replica may have begun to sign with it a moment ago. Callers that wait
// together share one look.
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

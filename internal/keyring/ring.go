package keyring

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Ring is the set of keys in use. It changes when Refresh finds that another
// process changed the keys, and is safe for concurrent use.
type Ring struct {
	keeper  *keeper
	history *history
	created bool
	held    atomic.Pointer[held]

	checking chan struct{} // holds one while a look for changes is under way
	checked  time.Time     // when the last look began; guarded by checking
	seen     atomic.Int64  // when the last look began that succeeded, by the monotonic clock

	lacked atomic.Pointer[[]string] // ids of pending keys that were due and unavailable here; nil: none

	stepping sync.Mutex // held while counting
	counter  counter    // guarded by stepping

	signed, failed, nanoseconds atomic.Uint64
}

// held is the keys at one time. It is immutable.
type held struct {
	*Published

	keys    *keys
	signers map[jose.Algorithm]signing
	signing jose.Algorithm // that signs the tokens of the API
	behind  bool           // another key is active, and its private half was unavailable
	legacy  []byte
}

type signing struct {
	kid    string
	signer *jose.Signer
}

// Signer signs with the active key of one algorithm.
type Signer struct {
	KID       string
	Algorithm jose.Algorithm

	ring   *Ring
	signer *jose.Signer
}

// Sign returns the compact token of claims, which is a JSON object, of the type,
// jose.TypeJWT or jose.TypeAccessToken.
func (s Signer) Sign(typ string, claims []byte) (token string, err error) {
	begin := time.Now()
	if typ == jose.TypeAccessToken {
		token, err = s.signer.SignAccessToken(claims)
	} else {
		token, err = s.signer.Sign(claims)
	}
	s.ring.nanoseconds.Add(uint64(time.Since(begin))) //nolint:gosec // monotonic, never negative
	if err != nil {
		s.ring.failed.Add(1)
		return "", fmt.Errorf("sign a token: %w", err)
	}
	s.ring.signed.Add(1)
	return token, nil
}

// Signer returns the signer of an algorithm, one of keys.algorithms; of an empty one
// it is that of auth.algorithm, or until a change to it has gone through the former
// one's. Unavailable: no key of it signs here now.
func (r *Ring) Signer(algorithm jose.Algorithm) (Signer, error) {
	h := r.held.Load()
	if algorithm == "" {
		algorithm = h.signing
	}
	s, ok := h.signers[algorithm]
	if !ok {
		r.failed.Add(1)
		return Signer{}, errNoSigner
	}
	return Signer{KID: s.kid, Algorithm: algorithm, ring: r, signer: s.signer}, nil
}

// Sign returns the compact token of claims, which is a JSON object, under the key
// that signs the tokens of the API.
func (r *Ring) Sign(claims []byte) (string, error) { return r.SignType(jose.TypeJWT, claims) }

// SignType is Sign for a token of the type, jose.TypeJWT or jose.TypeAccessToken.
func (r *Ring) SignType(typ string, claims []byte) (string, error) {
	s, err := r.Signer("")
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return s.Sign(typ, claims)
}

// Ready returns an error, Unavailable, when Sign would, or when another key may
// have taken over so long ago that what is signed here may be refused before it
// expires: ask before anything is done that only a token makes good. It looks at
// the database where that was not done recently.
func (r *Ring) Ready(ctx context.Context) error {
	// By half of the leeway another key may have taken over just as long ago; the
	// former one stays for the leeway longer than its tokens, which is more.
	longest := r.keeper.policy.Leeway / 2
	if r.keeper.since(&r.seen) > longest {
		if err := r.Recheck(ctx); r.keeper.since(&r.seen) > longest {
			return &fault.Error{
				Kind: fault.Unavailable, Code: "no_signing_key", Message: "the signing keys could not be looked for recently",
				RetryAfter: lifecycle.FollowWithin, Cause: err,
			}
		}
	}
	if h := r.held.Load(); h.signers[h.signing].signer == nil {
		return errNoSigner
	}
	return nil
}

// MaxAge is how long others may keep the key set: not at all when this process
// has not seen the database for so long that another key may be in it by now.
func (r *Ring) MaxAge() time.Duration {
	ahead := r.keeper.policy.PublishAhead
	if r.keeper.since(&r.seen) > margin(ahead) {
		return 0
	}
	return MaxAge(ahead)
}

// Pace is the pause between two calls of Refresh and Step.
func (r *Ring) Pace() time.Duration { return pace(r.keeper.policy.PublishAhead) }

// Published returns the keys as others see them now.
func (r *Ring) Published() *Published { return r.held.Load().Published }

// Active describes the key that signs the tokens of the API here: the active one, or
// while that is unavailable the one before.
func (r *Ring) Active() KeyInfo {
	h := r.held.Load()
	info, _ := h.find(h.signers[h.signing].kid)
	return info
}

// Keys describes all keys in the order of the key set.
func (r *Ring) Keys() []KeyInfo { return r.Published().Keys() }

// JWKS returns the main key set and its strong ETag, as Published.JWKS does.
func (r *Ring) JWKS() (body []byte, etag string) { return r.Published().JWKS() }

// LegacyHashKey returns the HMAC key under which later versions of the
// original server hashed refresh and service tokens; nil when none is known.
func (r *Ring) LegacyHashKey() []byte { return r.held.Load().legacy }

// Created reports whether this Open made the active key.
func (r *Ring) Created() bool { return r.created }

// Behind reports whether another key is active, or due to be, and this process
// could not load its private half.
func (r *Ring) Behind() bool {
	h, lacked := r.held.Load(), r.lacked.Load()
	if h.behind || lacked == nil {
		return h.behind
	}
	for _, kid := range *lacked {
		if info, _ := h.find(kid); info.Status == store.KeyPending {
			return true // else another replica activated it, or it was withdrawn
		}
	}
	return false
}

// Stats returns the counters.
func (r *Ring) Stats() Stats {
	return Stats{
		Signed:  r.signed.Load(),
		Failed:  r.failed.Load(),
		Seconds: time.Duration(r.nanoseconds.Load()).Seconds(), //nolint:gosec // 292 years
	}
}

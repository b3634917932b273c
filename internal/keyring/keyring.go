package keyring

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// AdoptedKID is the constant key id of the original server. The one key that
// an adopted installation was signing with keeps it.
const AdoptedKID = "pico-auth-1"

// Config says where the keys are.
type Config struct {
	Dir       string         // auth.data_dir, ~ expanded; required
	Algorithm jose.Algorithm // auth.algorithm: RS256, ML-DSA-65 or ML-DSA-87; required
	Store     *store.Store   // records which key is active; nil: the folder alone decides
	Master    *seal.Master   // on PostgreSQL: private keys are kept in the database, sealed under it; nil: keys are files
	Log       *slog.Logger   // nil: discard
}

// Status is what a key is still good for.
type Status string

// The statuses.
const (
	Active     Status = "active"      // signs and verifies
	VerifyOnly Status = "verify-only" // published for tokens signed before
)

// KeyInfo describes a key without holding it.
type KeyInfo struct {
	KID        string
	Algorithm  jose.Algorithm
	Thumbprint string // RFC 7638; the KID of all but the adopted key
	Status     Status
	File       string // path of the private half; empty: it is sealed in the database
}

// Stats counts signatures since Open.
type Stats struct {
	Signed  uint64
	Failed  uint64
	Seconds float64 // spent signing, failures included
}

// Ring is the set of keys in use. It changes when Refresh finds that another
// process changed the keys, and is safe for concurrent use.
type Ring struct {
	opener  *opener
	created bool
	held    atomic.Pointer[held]

	checking sync.Mutex // held while looking for changes
	checked  time.Time  // when the last look began

	signed, failed, nanoseconds atomic.Uint64
}

// held is the keys at one time. It is immutable.
type held struct {
	version int64
	kid     string // of signer
	signer  *jose.Signer
	infos   []KeyInfo // the active one first
	jwks    []byte
	etag    string
	legacy  []byte
}

// Sign returns the compact token of claims, which is a JSON object, under the
// active key.
func (r *Ring) Sign(claims []byte) (string, error) {
	begin := time.Now()
	token, err := r.held.Load().signer.Sign(claims)
	r.nanoseconds.Add(uint64(time.Since(begin))) //nolint:gosec // monotonic, never negative
	if err != nil {
		r.failed.Add(1)
		return "", fmt.Errorf("sign a token: %w", err)
	}
	r.signed.Add(1)
	return token, nil
}

// Algorithm returns the algorithm of the active key.
func (r *Ring) Algorithm() jose.Algorithm { return r.Active().Algorithm }

// Active describes the key that signs.
func (r *Ring) Active() KeyInfo { return r.held.Load().infos[0] }

// Keys describes all keys in the order of the key set, the active one first.
func (r *Ring) Keys() []KeyInfo { return slices.Clone(r.held.Load().infos) }

// JWKS returns the public key set and its strong ETag. The bytes are shared:
// callers write them and do not change them.
func (r *Ring) JWKS() (body []byte, etag string) {
	h := r.held.Load()
	return h.jwks, h.etag
}

// LegacyHashKey returns the HMAC key under which later versions of the
// original server hashed refresh and service tokens; nil when none is known.
func (r *Ring) LegacyHashKey() []byte { return r.held.Load().legacy }

// Created reports whether this Open made the active key.
func (r *Ring) Created() bool { return r.created }

// Stats returns the counters.
func (r *Ring) Stats() Stats {
	return Stats{
		Signed:  r.signed.Load(),
		Failed:  r.failed.Load(),
		Seconds: time.Duration(r.nanoseconds.Load()).Seconds(), //nolint:gosec // 292 years
	}
}

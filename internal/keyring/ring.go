package keyring

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Ring is the set of keys in use. It changes when Refresh finds that another
// process changed the keys, and is safe for concurrent use.
type Ring struct {
	keeper  *keeper
	history history // guarded by checking
	held    atomic.Pointer[Published]

	checking chan struct{} // has an element during a check for changes
	checked  time.Time     // start of the last check; guarded by checking
	seen     atomic.Int64  // start of the last successful check, by the monotonic clock

	stepping sync.Mutex // guards what follows
	holder   string     // the name of this replica in the lease to count the time of keys
	counts   bool       // it has the lease
	counted  []store.KeyTime
	from     time.Duration // when the counted time begins, by the monotonic clock

	signed, failed, nanoseconds atomic.Uint64
}

func newRing(k *keeper) *Ring {
	r := &Ring{
		keeper: k, checking: make(chan struct{}, 1), holder: rand.Text(),
		history: history{seen: map[string]vault.Key{}, reported: map[string]string{}},
	}
	r.held.Store(&Published{keys: &keys{}})
	return r
}

// Signer signs with the active key of one algorithm.
type Signer struct {
	KID       string
	Algorithm jose.Algorithm

	ring   *Ring
	signer *jose.Signer
}

// Size is the length of the token that Sign returns for claims of so many bytes.
func (s Signer) Size(typ string, claims int) int { return s.signer.Size(typ, claims) }

// Sign returns the compact token of claims, which is a JSON object, of the type:
// jose.TypeJWT, jose.TypeAccessToken or jose.TypeLogoutToken.
func (s Signer) Sign(typ string, claims []byte) (token string, err error) {
	begin := time.Now()
	token, err = s.signer.SignAs(typ, claims)
	s.ring.nanoseconds.Add(uint64(time.Since(begin))) //nolint:gosec // monotonic, never negative
	if err != nil {
		s.ring.failed.Add(1)
		return "", fmt.Errorf("sign a token: %w", err)
	}
	s.ring.signed.Add(1)
	return token, nil
}

// Signer returns the signer of one of keys.algorithms. An empty algorithm is
// auth.algorithm, or during a change of that the former one. Unavailable: no key of the
// algorithm can sign here now.
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
	s.ring = r
	return s, nil
}

// unread is the time since this process began to read the database last.
func (r *Ring) unread() time.Duration {
	return r.keeper.Monotonic() - time.Duration(r.seen.Load())
}

// Ready returns an error, Unavailable, when Sign would, or when another key may have
// been activated so long ago that a token of this one may be refused before it expires.
// Call it before an operation that is useless without a token. It reads the database if
// that was not done recently.
func (r *Ring) Ready(ctx context.Context) error {
	// Another key may have been activated just after the last check. The former one
	// stays published for the leeway longer than the lifetime of its tokens.
	longest := lifecycle.Leeway / 2
	if r.unread() > longest {
		if err := r.Recheck(ctx); r.unread() > longest {
			return &fault.Error{
				Kind: fault.Unavailable, Code: "no_signing_key", Message: "the signing keys could not be read recently",
				RetryAfter: lifecycle.FollowWithin, Cause: err,
			}
		}
	}
	if h := r.held.Load(); h.signers[h.signing].signer == nil {
		return errNoSigner
	}
	return nil
}

// MaxAge is how long clients may keep the key set: zero when this process has not read
// the database for so long that the set may have changed.
func (r *Ring) MaxAge() time.Duration {
	ahead := r.keeper.policy.PublishAhead
	if r.unread() > margin(ahead) {
		return 0
	}
	return MaxAge(ahead)
}

// Pace is the pause between two calls of Refresh and Step, a fraction of the margin.
func (r *Ring) Pace() time.Duration {
	return min(maxFollow, max(margin(r.keeper.policy.PublishAhead)/4, 50*time.Millisecond))
}

// Published returns the keys that are published now.
func (r *Ring) Published() *Published { return r.held.Load() }

// Active describes the key that signs the tokens of the API here: the active one, or
// the former one while that is unavailable.
func (r *Ring) Active() KeyInfo {
	h := r.held.Load()
	for _, k := range h.infos {
		if k.KID == h.signers[h.signing].KID {
			return k
		}
	}
	return KeyInfo{}
}

// Behind reports whether this process could not load the private half of a key that is
// active, or due to be.
func (r *Ring) Behind() bool { return r.held.Load().behind }

// Stats returns the counters.
func (r *Ring) Stats() Stats {
	return Stats{
		Signed:  r.signed.Load(),
		Failed:  r.failed.Load(),
		Seconds: time.Duration(r.nanoseconds.Load()).Seconds(), //nolint:gosec // 292 years
	}
}

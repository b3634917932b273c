// Package password decides which passwords are good enough, hashes them with
// bcrypt and verifies them, a bounded number at a time.
//
// It owns the cost of a guess: every verification takes the same work, whether
// the user exists or not and however the hash was made, and more callers than
// the cores can serve wait in a short queue or are refused, each client network
// with a fair share. It does not know users, requests or the store. The packages login and directory call it; the
// program gives IsDefault to the store for adoption.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	single "golang.org/x/crypto/bcrypt"
	"golang.org/x/text/unicode/norm"

	"github.com/pico-auth/pico-auth/internal/bcrypt"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// Default is the published password of the first administrator.
const Default = "admin"

const (
	defaultCost = 12
	maxBytes    = 72 // bcrypt ignores what follows

	// maxCost is the highest that the configuration allows. A stored hash
	// beyond it counts as malformed: one of cost 31 would hold a core for days.
	maxCost = 15
)

// Config says how a Hasher works.
type Config struct {
	Cost        int    // of new hashes, 4 to 15: the work is 2 to its power; 0: 12
	MinLength   int    // of new passwords, in characters; 0: 8
	Workers     int    // threads that hash, up to four hashes each; 0: GOMAXPROCS
	Queue       int    // callers that may wait beyond those hashes; 0: about three seconds of work
	ServiceName string // title of the service, no good as a password; empty: none
	AllowCommon bool   // accept the most common passwords
}

// Hasher hashes and verifies. It is safe for concurrent use.
type Hasher struct {
	cost      int
	minLength int
	names     []string      // no good as passwords
	common    func() string // the list, unpacked when the first password is set; nil: there is none
	pool      *pool

	// floor is the cost whose work each verification takes: the configured one,
	// or the highest met since. It rises where an operator has lowered the
	// cost: until users choose new passwords their old hashes take longer, and
	// unknown users must take as long.
	floor atomic.Int64
}

// New starts the workers of a Hasher. Close ends them.
func New(cfg Config) *Hasher {
	h := &Hasher{
		cost:      cfg.Cost,
		minLength: cfg.MinLength,
		names:     []string{"pico", "pico-auth", cfg.ServiceName},
		common:    sync.OnceValue(unpackCommon),
	}
	if h.cost == 0 {
		h.cost = defaultCost
	}
	if h.minLength == 0 {
		h.minLength = defaultMinLength
	}
	if cfg.AllowCommon {
		h.common = nil
	}
	h.floor.Store(int64(h.cost))
	h.pool = newPool(cfg.Workers, cfg.Queue, h.cost)
	return h
}

// Close refuses the callers that wait, lets running hashes finish and ends the
// workers. A closed Hasher returns Unavailable.
func (h *Hasher) Close() { h.pool.close() }

// Stats returns what the Hasher is doing and has done.
func (h *Hasher) Stats() Stats { return h.pool.stats() }

// SignedIn notes that a user has signed in from the network: half of the places and
// of the hashes are kept for such networks.
func (h *Hasher) SignedIn(network string) { h.pool.known.add(network) }

// Hash returns a new hash of the password in Unicode form NFC (identity.FormNFC),
// for a client of that network (identity.Actor). It does not apply the policy, see
// Check, but refuses more than 72 bytes of that form. It returns Throttled when the network's share of the queue is full and
// the context's error when that ended first.
func (h *Hasher) Hash(ctx context.Context, network, password string) (identity.PasswordHash, error) {
	password = norm.NFC.String(password)
	if len(password) > maxBytes {
		return "", errTooLong("password")
	}
	made := bcrypt.Hash{Cost: h.cost}
	_, _ = rand.Read(made.Salt[:]) // never fails
	var err error
	made.Sum, err = h.pool.do(ctx, network, bcrypt.Work{Password: password, Salt: made.Salt, Cost: made.Cost, Effort: made.Cost})
	if err != nil {
		return "", err
	}
	return identity.PasswordHash(made.String()), nil
}

// Verify reports whether the hash is one of the password in the form received, or in
// Unicode form NFC or NFD, for a client of that network: keyboards differ in the form
// that they produce. Each distinct form is computed, whatever the hash and whichever
// matches, so that the number of computations tells of the typed text only; text in
// ASCII has one form. An empty hash stands for an unknown user: false after the same work. So
// is a malformed one. It returns Throttled when the network's share of the queue is
// full and the context's error when that ended first; neither depends on the hash.
func (h *Hasher) Verify(ctx context.Context, network string, hash identity.PasswordHash, password string) (bool, error) {
	stored, ok := parse(string(hash))
	if !ok {
		stored = bcrypt.Hash{Cost: h.cost} // the salt is zero, and the sum empty
	}
	effort := h.raiseFloor(stored.Cost)
	match := false
	for _, form := range forms(password) {
		sum, err := h.pool.do(ctx, network, bcrypt.Work{Password: form, Salt: stored.Salt, Cost: stored.Cost, Effort: effort})
		if err != nil {
			return false, err
		}
		equal := subtle.ConstantTimeCompare([]byte(sum), []byte(stored.Sum)) == 1
		match = match || ok && equal && acceptable(string(hash), form)
	}
	return match, nil
}

// forms are the distinct ones of the password as received, in NFC and in NFD.
func forms(password string) []string {
	all := []string{password}
	for _, form := range []string{norm.NFC.String(password), norm.NFD.String(password)} {
		if !slices.Contains(all, form) {
			all = append(all, form)
		}
	}
	return all
}

// Renew returns the hash to store in place of one that the password has matched: a
// new one when its cost, scheme or form is not that of new hashes, and empty when it
// is. What is in ASCII is in NFC: a hash of it that is otherwise like new ones is
// returned as it is, with another form to store. It returns the errors of Hash;
// the stored hash stays good.
func (h *Hasher) Renew(ctx context.Context, network string, stored identity.PasswordHash, form identity.PasswordForm, password string) (identity.PasswordHash, error) {
	parsed, _ := parse(string(stored))
	current := parsed.Cost == h.cost && strings.HasPrefix(string(stored), "$2a$")
	switch {
	case current && form == identity.FormNFC:
		return "", nil
	case current && len(forms(password)) == 1:
		return stored, nil
	default:
		return h.Hash(ctx, network, password)
	}
}

// raiseFloor raises the floor to a hash's cost and returns it.
func (h *Hasher) raiseFloor(cost int) int {
	for {
		floor := h.floor.Load()
		if int(floor) >= cost || h.floor.CompareAndSwap(floor, int64(cost)) {
			return max(int(floor), cost)
		}
	}
}

// IsDefault reports whether the hash is one of the default password. It takes
// as long as one hash and does not queue: it is for adoption and start-up.
func IsDefault(hash identity.PasswordHash) bool {
	_, ok := parse(string(hash))
	return ok && single.CompareHashAndPassword([]byte(hash), []byte(Default)) == nil
}

// parse takes a hash that can be verified apart; false for any other text.
func parse(hash string) (bcrypt.Hash, bool) {
	h, err := bcrypt.Parse(hash)
	if err != nil || h.Cost > maxCost {
		return bcrypt.Hash{}, false
	}
	return h, true
}

// acceptable reports whether a password that bcrypt matches is really the one.
// bcrypt reads 72 bytes only, and after a NUL it starts over: it treats "ab" and
// "ab\x00ab" as equal. The original wrote $2b$ and truncated passwords; a hash of
// this server, $2a$, is never one of a longer password or of one with a NUL.
func acceptable(hash, password string) bool {
	return !strings.HasPrefix(hash, "$2a$") || (len(password) <= maxBytes && !strings.ContainsRune(password, 0))
}

func errTooLong(field string) error {
	return fault.BadField(field, "a password must be at most 72 bytes long in UTF-8")
}

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
	"errors"
	"fmt"
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
	Workers     int    // hashes at the same time; 0: GOMAXPROCS
	Queue       int    // callers that may wait beyond those; 0: about three seconds of work
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

	generate func(password []byte, cost int) ([]byte, error) // bcrypt, or a counter in tests
	compare  func(hash, password []byte) error
}

// New starts the workers of a Hasher. Close ends them.
func New(cfg Config) *Hasher {
	h := &Hasher{
		cost:      cfg.Cost,
		minLength: cfg.MinLength,
		names:     []string{"pico", "pico-auth", cfg.ServiceName},
		common:    sync.OnceValue(unpackCommon),
		generate:  single.GenerateFromPassword,
		compare:   single.CompareHashAndPassword,
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
	var hash string
	var failed error
	alone := func() {
		var b []byte
		b, failed = h.generate([]byte(password), h.cost)
		hash = string(b)
	}
	if err := h.pool.do(ctx, network, alone, h.hashLane(password, &hash)); err != nil {
		return "", err
	}
	if failed != nil {
		return "", fmt.Errorf("hash a password: %w", failed)
	}
	return identity.PasswordHash(hash), nil
}

// hashLane is Hash together with others.
func (h *Hasher) hashLane(password string, hash *string) *lane {
	made := bcrypt.Hash{Cost: h.cost}
	_, _ = rand.Read(made.Salt[:]) // never fails
	return &lane{
		cost:   h.cost,
		work:   func() *bcrypt.Work { return bcrypt.NewWork(password, made.Salt, made.Cost) },
		settle: func(sum string) { made.Sum = sum; *hash = made.String() },
	}
}

// Verify reports whether the hash is one of the password in the form received, or in
// Unicode form NFC or NFD, for a client of that network: keyboards differ in the form
// that they produce. Each distinct form is computed, whatever the hash and whichever
// matches, so that the number of computations tells of the typed text only; text in
// ASCII has one form. An empty hash stands for an unknown user: false after the same work. So
// is a malformed one. It returns Throttled when the network's share of the queue is
// full and the context's error when that ended first; neither depends on the hash.
func (h *Hasher) Verify(ctx context.Context, network string, hash identity.PasswordHash, password string) (bool, error) {
	var match bool
	for _, form := range forms(password) {
		var matches bool
		alone := func() { matches = h.verify(string(hash), form) }
		if err := h.pool.do(ctx, network, alone, h.verifyLane(string(hash), form, &matches)); err != nil {
			return false, err
		}
		match = match || matches
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
	cost, _ := hashCost(string(stored))
	current := cost == h.cost && strings.HasPrefix(string(stored), "$2a$")
	switch {
	case current && form == identity.FormNFC:
		return "", nil
	case current && len(forms(password)) == 1:
		return stored, nil
	default:
		return h.Hash(ctx, network, password)
	}
}

// verifyLane is verify together with others. The hash has no influence on which
// others it is computed with, and it takes the floor's work.
func (h *Hasher) verifyLane(text, password string, match *bool) *lane {
	cost, ok := hashCost(text)
	floor := h.raiseFloor(cost)
	stored, err := bcrypt.Parse(text)
	if ok = ok && err == nil; !ok {
		stored = bcrypt.Hash{Cost: floor} // unknown user: the salt is zero, and the sum empty
	}
	return &lane{
		cost: floor,
		work: func() *bcrypt.Work { return bcrypt.NewWork(password, stored.Salt, stored.Cost) },
		settle: func(sum string) {
			equal := subtle.ConstantTimeCompare([]byte(sum), []byte(stored.Sum)) == 1
			*match = ok && equal && acceptable(text, password)
		},
	}
}

// verify takes the work of one hash at the floor's cost in every case. A
// cheaper hash leaves work over: bcrypt doubles with each cost, so one more run
// at each cost from the hash's own up to below the floor makes up for it.
func (h *Hasher) verify(hash, password string) bool {
	cost, ok := hashCost(hash)
	floor := h.raiseFloor(cost)
	match := false
	if ok {
		err := h.compare([]byte(hash), []byte(truncate(password)))
		match = err == nil
		ok = match || errors.Is(err, single.ErrMismatchedHashAndPassword) // else nothing was computed
	}
	if !ok {
		h.burn(floor, password)
		return false
	}
	for ; cost < floor; cost++ {
		h.burn(cost, password)
	}
	return match && acceptable(hash, password)
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

// burn takes the work of one hash. The hash compared with is made up: finding
// a password for it is as hard as for any other, and the result is not used.
func (h *Hasher) burn(cost int, password string) {
	dummy := fmt.Sprintf("$2a$%02d$%s%s", cost, strings.Repeat("abcdefghijkl", 2)[:22], strings.Repeat("m", 31))
	_ = h.compare([]byte(dummy), []byte(truncate(password)))
}

// IsDefault reports whether the hash is one of the default password. It takes
// as long as one hash and does not queue: it is for adoption and start-up.
func IsDefault(hash identity.PasswordHash) bool {
	_, ok := hashCost(string(hash))
	return ok && single.CompareHashAndPassword([]byte(hash), []byte(Default)) == nil
}

// hashCost returns the cost of a hash that can be verified, 0 and false else.
func hashCost(hash string) (cost int, ok bool) {
	if len(hash) != 60 || !strings.HasPrefix(hash, "$2") || !strings.ContainsRune("aby", rune(hash[2])) {
		return 0, false
	}
	cost, err := single.Cost([]byte(hash))
	if err != nil || cost > maxCost {
		return 0, false
	}
	return cost, true
}

// acceptable reports whether a password that bcrypt matches is really the one.
// bcrypt reads 72 bytes only, and after a NUL it starts over: it treats "ab" and
// "ab\x00ab" as equal. The original wrote $2b$ and truncated passwords; a hash of
// this server, $2a$, is never one of a longer password or of one with a NUL.
func acceptable(hash, password string) bool {
	return !strings.HasPrefix(hash, "$2a$") || (len(password) <= maxBytes && !strings.ContainsRune(password, 0))
}

func truncate(password string) string { return password[:min(len(password), maxBytes)] }

func errTooLong(field string) error {
	return fault.BadField(field, "a password must be at most 72 bytes long in UTF-8")
}

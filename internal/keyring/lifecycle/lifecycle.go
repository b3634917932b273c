package lifecycle

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/store"
)

const (
	// FollowWithin is the time within which every running server follows a change.
	FollowWithin = 5 * time.Second
	// Leeway is how late the clocks of verifiers may be.
	Leeway = time.Minute
	// clockError is more than the difference between the clocks of replicas.
	clockError = time.Hour
)

// Policy is the configuration of the lifecycle of keys.
type Policy struct {
	Default jose.Algorithm   // of the key that signs the tokens of the API
	Further []jose.Algorithm // of the keys for clients; each has an active key as well
	Late    jose.Algorithm   // one of Further whose first key a running server makes; empty: none

	PublishAhead  time.Duration // how long a key is published before it signs
	RotateEvery   time.Duration // age at which an active key is replaced; zero: never
	TokenLifetime time.Duration // of the access tokens that this server signs
}

// to returns the change of a key to another status. Who makes it is not known here.
func to(k store.SigningKey, status store.KeyStatus, now time.Time, action identity.Action, detail string) store.KeyChange {
	k.Status, k.Counted = status, 0
	switch status {
	case store.KeyActive:
		k.ActivatedAt = now
	case store.KeyRetiring:
		k.RetiredAt = now
	case store.KeyRemoved:
		k.RemovedAt, k.Sealed = now, ""
	case store.KeyPending:
	}
	return store.KeyChange{SigningKey: k, Act: store.Act{Action: action, Detail: detail}}
}

// Rank orders the statuses: a key never goes to a lower one. It is -1 for a status
// that is unknown.
func Rank(status store.KeyStatus) int {
	return slices.Index([]store.KeyStatus{store.KeyPending, store.KeyActive, store.KeyRetiring, store.KeyRemoved}, status)
}

func postQuantum(algorithm string) bool { return jose.Algorithm(algorithm).PostQuantum() }

// PQCOnly reports whether a key is left out of the main key set. Some clients refuse a
// whole set because of one key of type AKP, so the main set has such a key only if it
// is for the tokens of the API.
func PQCOnly(k store.SigningKey) bool { return !k.API && postQuantum(k.Algorithm) }

// wants reports whether the configuration has a use for this key.
func (p Policy) wants(k store.SigningKey) bool {
	isDefault := k.Algorithm == string(p.Default)
	return k.API && isDefault || !k.API && !isDefault && p.further(k.Algorithm)
}

func (p Policy) further(algorithm string) bool {
	return slices.Contains(p.Further, jose.Algorithm(algorithm))
}

// Configured reports whether keys of an algorithm are made at all.
func (p Policy) Configured(algorithm string) bool {
	return algorithm == string(p.Default) || p.further(algorithm)
}

// Signer returns the key that signs the tokens of the API, nil when there is none.
// During a change of the default algorithm it is a key of the former one.
func Signer(set store.KeySet) *store.SigningKey { return ofAPI(set, store.KeyActive) }

// successor returns the key that will sign the tokens of the API, nil when there is none.
func successor(set store.KeySet) *store.SigningKey { return ofAPI(set, store.KeyPending) }

func ofAPI(set store.KeySet, status store.KeyStatus) *store.SigningKey {
	for i, k := range set.Keys {
		if k.API && k.Status == status {
			return &set.Keys[i]
		}
	}
	return nil
}

// Next returns the key that a rotation activates: the pending one, or without a KID a new
// one. For the default algorithm it is the pending one of the API, whatever its own: a
// command whose configuration is not that of the servers must not turn back their change
// of auth.algorithm.
func (p Policy) Next(set store.KeySet, algorithm jose.Algorithm) store.SigningKey {
	if next := successor(set); next != nil && algorithm == p.Default {
		return *next
	}
	if next := set.First(store.KeyPending, string(algorithm)); next != nil {
		return *next
	}
	return p.Make(algorithm).SigningKey
}

// Order returns the keys in the order of the key set: the one that signs the tokens of
// the API first, since some clients take the first key, then the other active ones, the
// pending ones, and the retiring ones, the last retired one first.
func Order(set store.KeySet) []store.SigningKey {
	rank := func(k store.SigningKey) int {
		switch {
		case k.Status == store.KeyActive && k.API:
			return -2
		case k.Status == store.KeyActive:
			return -1
		}
		return Rank(k.Status)
	}
	keys := slices.Clone(set.Keys)
	slices.SortStableFunc(keys, func(a, b store.SigningKey) int {
		return cmp.Or(rank(a)-rank(b), b.RemovedAt.Compare(a.RemovedAt), b.RetiredAt.Compare(a.RetiredAt), strings.Compare(a.KID, b.KID))
	})
	return keys
}

// Remaining is the time until a pending key signs, or a retiring one is removed. Zero
// or less: the change is due.
//
// It is computed from time that servers measured with their monotonic clocks, added up
// in the row: a wall clock that jumps forward must not remove a key whose tokens are
// still valid, nor let one sign before its clients know it.
func (p Policy) Remaining(k store.SigningKey, now time.Time) time.Duration {
	switch k.Status {
	case store.KeyPending:
		return p.PublishAhead - k.Counted
	case store.KeyRetiring:
		keep := p.Keep(k)
		// A wall clock that was set back extends the lifetime of tokens. The counted time
		// does not show that, so both must have passed.
		return max(keep-k.Counted, keep-now.Sub(k.RetiredAt))
	case store.KeyActive, store.KeyRemoved:
	}
	return 0
}

// Keep is how long a retiring key stays published: until its last token has expired.
func (p Policy) Keep(k store.SigningKey) time.Duration {
	return cmp.Or(k.TokenLifetime, p.TokenLifetime) + Leeway + FollowWithin
}

// expires reports whether an active key is older than RotateEvery and nothing replaces it
// yet. During a change of the default algorithm the signer is replaced anyway. The age of
// a key that was activated in the future is unknown, since a clock was wrong; it counts
// as old.
func (p Policy) expires(set store.KeySet, k store.SigningKey, now time.Time) bool {
	replaced := set.First(store.KeyPending, k.Algorithm) != nil || k.API && successor(set) != nil
	if k.Status != store.KeyActive || p.RotateEvery == 0 || replaced {
		return false
	}
	age := now.Sub(k.ActivatedAt)
	return age >= p.RotateEvery || age < -clockError
}

// Busy reports whether time must be counted, or a change may be due.
func (p Policy) Busy(set store.KeySet, now time.Time) bool {
	return set.First(store.KeyPending, "") != nil || set.First(store.KeyRetiring, "") != nil || len(p.Due(set, now)) > 0
}

// Start returns the changes that the configuration of a starting server requires: a
// pending key for each algorithm without an active one, and no keys of other
// algorithms. The configuration of the last server that started applies.
func (p Policy) Start(set store.KeySet, now time.Time) (changes []store.KeyChange) {
	var kept store.KeySet
	for _, k := range set.Keys {
		switch {
		case k.Status == store.KeyPending && !p.wants(k):
			changes = append(changes, Withdraw(k, now, "the configuration has changed"))
			continue
		case k.Status == store.KeyActive && !k.API && !p.Configured(k.Algorithm):
			changes = append(changes, retire(k, now))
			continue
		}
		kept.Keys = append(kept.Keys, k)
	}
	if signer := Signer(kept); (signer == nil || signer.Algorithm != string(p.Default)) && successor(kept) == nil {
		changes = append(changes, p.Make(p.Default))
	}
	for _, algorithm := range p.forClients() {
		active := kept.First(store.KeyActive, string(algorithm))
		lacks := active == nil || active.API && postQuantum(active.Algorithm)
		if lacks && kept.First(store.KeyPending, string(algorithm)) == nil {
			changes = append(changes, p.Make(algorithm))
		}
	}
	return changes
}

// forClients is the algorithms for clients whose first key a start makes.
func (p Policy) forClients() []jose.Algorithm {
	return slices.DeleteFunc(slices.Clone(p.Further), func(a jose.Algorithm) bool { return a == p.Default || a == p.Late })
}

// Make is a new pending key, without a KID.
func (p Policy) Make(algorithm jose.Algorithm) store.KeyChange {
	k := store.SigningKey{Algorithm: string(algorithm), Status: store.KeyPending, API: algorithm == p.Default}
	return store.KeyChange{SigningKey: k, Act: store.Act{Action: identity.ActionKeyRotate}}
}

// Begin returns the first keys of a new installation: they are active at once.
func (p Policy) Begin(now time.Time) (changes []store.KeyChange) {
	for _, algorithm := range append([]jose.Algorithm{p.Default}, p.forClients()...) {
		changes = append(changes, to(p.Make(algorithm).SigningKey, store.KeyActive, now, "", ""))
	}
	return changes
}

// Activate makes a pending key active instead of the active one of its algorithm and,
// if it is for the tokens of the API, instead of the one that signed those. That one
// stays active for clients if its algorithm is configured for them, except a key of
// type AKP, which must leave the main key set when its last token has expired.
func (p Policy) Activate(set store.KeySet, k store.SigningKey, now time.Time) (changes []store.KeyChange) {
	if former := set.First(store.KeyActive, k.Algorithm); former != nil {
		changes = append(changes, retire(*former, now))
	}
	if signer := Signer(set); k.API && signer != nil && signer.Algorithm != k.Algorithm {
		change := retire(*signer, now)
		if p.further(signer.Algorithm) && !postQuantum(signer.Algorithm) {
			change = store.KeyChange{SigningKey: *signer}
			change.API = false
		}
		changes = append(changes, change)
	}
	k.TokenLifetime = max(k.TokenLifetime, p.TokenLifetime)
	return append(changes, to(k, store.KeyActive, now, identity.ActionKeyActivate, ""))
}

func retire(k store.SigningKey, now time.Time) store.KeyChange {
	return to(k, store.KeyRetiring, now, identity.ActionKeyRetire, "")
}

// Withdraw ends a pending key.
func Withdraw(k store.SigningKey, now time.Time, cause string) store.KeyChange {
	return to(k, store.KeyRemoved, now, identity.ActionKeyWithdraw, cause)
}

// Untimely reports whether activating a pending key would retire the one that signs
// the tokens of the API without a replacement.
func Untimely(set store.KeySet, pending store.SigningKey) bool {
	active := set.First(store.KeyActive, pending.Algorithm)
	return !pending.API && active != nil && active.API
}

// Due returns the changes that are due, in groups that must be applied together. An
// old key is replaced by one of its own algorithm: a replica that is not yet restarted
// with a new configuration must not undo a change that others have begun. The first key
// of the late algorithm is active at once: publishing it before protects clients that
// verify with this algorithm, and there are none yet.
func (p Policy) Due(set store.KeySet, now time.Time) (groups [][]store.KeyChange) {
	for _, k := range set.Keys {
		switch {
		case k.Status == store.KeyPending && p.Remaining(k, now) <= 0 && !Untimely(set, k):
			groups = append(groups, p.Activate(set, k, now))
		case k.Status == store.KeyRetiring && p.Remaining(k, now) <= 0:
			groups = append(groups, []store.KeyChange{to(k, store.KeyRemoved, now, identity.ActionKeyRemove, "")})
		case p.expires(set, k, now):
			made := p.Make(jose.Algorithm(k.Algorithm))
			made.API = k.API
			groups = append(groups, []store.KeyChange{made})
		}
	}
	if late := string(p.Late); late != "" && set.First(store.KeyActive, late) == nil && set.First(store.KeyPending, late) == nil {
		groups = append(groups, p.Activate(set, p.Make(p.Late).SigningKey, now))
	}
	return groups
}

// Revoke ends a key at once. The pending key, or a new one if that is missing or not
// usable, signs at once instead: ending a leaked key must not depend on another key.
func (p Policy) Revoke(set store.KeySet, k store.SigningKey, now time.Time, usable func(store.SigningKey) bool) []store.KeyChange {
	changes := []store.KeyChange{to(k, store.KeyRemoved, now, identity.ActionKeyRevoke, "")}
	if k.Status != store.KeyActive {
		return changes
	}
	next, pending := p.Make(jose.Algorithm(k.Algorithm)).SigningKey, set.First(store.KeyPending, k.Algorithm)
	next.API = k.API
	if k.API {
		next, pending = p.Make(p.Default).SigningKey, successor(set)
	} else if pending == nil && !p.wants(k) {
		return changes
	}
	if pending != nil && usable(*pending) {
		next = *pending
	} else if pending != nil {
		changes = append(changes, Withdraw(*pending, now, "its private half is unavailable"))
	}
	rest := store.KeySet{Keys: slices.DeleteFunc(slices.Clone(set.Keys), func(other store.SigningKey) bool { return other.KID == k.KID })}
	changes = append(changes, p.Activate(rest, next, now)...)
	changes[len(changes)-1].Act.Detail = "after the revocation of " + k.KID
	return changes
}

// Package throttle limits guesses: failed attempts to authenticate as a user, by
// account and network, by account, and by network; registrations and unknown tokens
// by network; and what succeeds and leaves a row, by the user or the client that does it.
//
// It owns the limits and what is remembered for them: the failures of accounts in
// the store, which all replicas share and a restart keeps, those of networks in
// memory. It does not authenticate, knows no HTTP, and refuses no session that
// exists. login, token and directory call it before the work that they would do for
// a guess; no protocol does.
package throttle

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Config is what a Throttle needs. Store is required.
type Config struct {
	Store *store.Store
	Log   *slog.Logger     // nil: discard
	Now   func() time.Time // nil: time.Now
	Off   bool             // nothing is limited, and nothing is remembered

	// WaitingRequests is how many authorization requests may wait in all. 0: 20,000.
	WaitingRequests int

	// What succeeds and is stored, for tests; 0: the number that operations.md names.
	SignIns    int // of a user in a day
	Grants     int // of a user in a day; one client has at least a tenth
	Assertions int // of a client in 5 minutes
	Changes    int // by administrators of an organization in a day
}

// Throttle limits guesses. It is safe for concurrent use. A nil Throttle limits
// nothing.
type Throttle struct {
	store *store.Store
	log   *slog.Logger
	now   func() time.Time
	off   bool

	secretMu sync.Mutex
	secret   []byte // of the digests of unknown addresses; nil: not read yet

	mu      sync.Mutex
	flights map[flightKey]*flight
	limits  [counters]*networks // of what is kept in memory, by networks, users or clients
	waiting *networks           // authorization requests that wait
	shares  *networks           // grants of a user to one client

	refused [counters]atomic.Uint64
}

// New returns a Throttle.
func New(cfg Config) *Throttle {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.WaitingRequests == 0 {
		cfg.WaitingRequests = 20_000
	}
	const waits, day = 10 * time.Minute, 24 * time.Hour // of a request for its user
	grants := cmp.Or(cfg.Grants, 5000)
	t := &Throttle{
		store: cfg.Store, log: cfg.Log, now: cfg.Now, off: cfg.Off, flights: map[flightKey]*flight{},
		waiting: newNetworks(rate{heldByNetwork, waits}),
		shares:  newNetworks(rate{60, time.Minute}, rate{max(grants/10, 1), day}),
	}
	for c, rates := range map[counter][]rate{
		network:                 {{60, time.Minute}, {1000, time.Hour}},
		tokensOfNetwork:         {{60, time.Minute}, {1000, time.Hour}},
		registrationsOfNetwork:  {{100, time.Minute}, {1000, day}},
		registrationsOfSite:     {{3000, day}},
		registrationsOfProvider: {{20_000, day}},
		profileChangesOfUser:    {{600, time.Minute}, {2000, day}},
		signInsOfUser:           {{cmp.Or(cfg.SignIns, 20_000), day}},
		grantsOfUser:            {{600, time.Minute}, {grants, day}},
		assertionsOfClient:      {{cmp.Or(cfg.Assertions, 300_000), 5 * time.Minute}},
		changesOfOrganization:   {{cmp.Or(cfg.Changes, 20_000), day}},
		clientsOfOrganization:   {{1000, day}},
		userCodesOfUser:         {{50, day}},
		authorizationsOfNetwork: {{600, time.Minute}},
		waitingOfSite:           {{max(500, cfg.WaitingRequests/10), waits}},
		waitingOfProvider:       {{max(500, cfg.WaitingRequests/4), waits}},
	} {
		t.limits[c] = newNetworks(rates...)
	}
	return t
}

// counter is what a limit counts.
type counter int

const (
	accountInNetwork counter = iota
	account
	network
	tokensOfNetwork
	registrationsOfNetwork
	profileChangesOfUser
	authorizationsOfNetwork
	waitingOfSite
	waitingOfProvider
	registrationsOfSite
	registrationsOfProvider
	signInsOfUser
	grantsOfUser
	assertionsOfClient
	changesOfOrganization
	clientsOfOrganization
	userCodesOfUser
	counters // how many there are
)

// names are for clients, metrics and the audit log.
var names = [counters]string{
	"account-network", "account", "network", "tokens", "registrations", "profile", "authorizations", "authorizations-site",
	"authorizations-provider", "registrations-site", "registrations-provider", "sign-ins", "grants", "assertions",
	"changes", "clients", "user-codes",
}

// Stats returns how many attempts each counter has refused.
func (t *Throttle) Stats() map[string]uint64 {
	stats := make(map[string]uint64, counters)
	for c, name := range names {
		if t != nil {
			stats[name] = t.refused[c].Load()
		}
	}
	return stats
}

// refuse counts a refusal and returns it. Its text is the same for every counter and
// every account.
func (t *Throttle) refuse(c counter, quota int, window, wait time.Duration) error {
	t.refused[c].Add(1)
	return &fault.Error{
		Kind: fault.Throttled, Code: "rate_limited", Message: "too many attempts; try again later",
		RetryAfter: max(wait, time.Second),
		Limit:      fault.Limit{Name: names[c], Quota: quota, Window: window},
	}
}

// Registration counts a registration, or refuses it. A party may have many networks: those
// around its own have a limit, too.
func (t *Throttle) Registration(ctx context.Context, by identity.Actor) error {
	if err := t.take(ctx, by, registrationsOfNetwork, networkOf(by), factorOf(by)); err != nil {
		return err
	}
	return t.takeAround(ctx, by, registrationsOfSite, registrationsOfProvider)
}

// UnknownToken counts a token that does not exist, and refuses it when there were too
// many of them from its network. A token that exists is never refused: it is looked
// up first, which costs as much as asking.
func (t *Throttle) UnknownToken(ctx context.Context, by identity.Actor) error {
	return t.take(ctx, by, tokensOfNetwork, networkOf(by), factorOf(by))
}

// UserCode tries the code of a device with try, or refuses it after too many wrong ones of
// the user: it is short, and a new session would give five more guesses. It is reserved
// before it is tried, so that those made at once cannot all pass.
func (t *Throttle) UserCode(ctx context.Context, by identity.Actor, try func() error) (err error) {
	if t == nil || t.off {
		return try()
	}
	t.mu.Lock()
	now := t.now()
	one := t.limits[userCodesOfUser].of(by.UserID(), now)
	if full, wait := one.full(now, one.pending, 1); full != nil {
		begins := one.begins(now)
		t.mu.Unlock()
		if begins {
			t.record(ctx, by, userCodesOfUser, by.UserID())
		}
		return t.refuse(userCodesOfUser, full.limit, full.per, wait)
	}
	one.pending++
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if one.pending--; errors.Is(err, store.ErrNoUserCode) {
			one.count(t.now())
		}
	}()
	return try()
}

// refusedAfter is how long a refused authorization request waits for its answer: each is
// a page, and what a network can ask for is then bounded by its connections.
const refusedAfter = 250 * time.Millisecond

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(refusedAfter):
	}
}

// AuthorizationRequest counts an authorization request for which something is stored, or
// refuses it.
func (t *Throttle) AuthorizationRequest(ctx context.Context, by identity.Actor) error {
	err := t.take(ctx, by, authorizationsOfNetwork, networkOf(by), factorOf(by))
	if err != nil {
		pause(ctx)
	}
	return err
}

// heldByNetwork is how many authorization requests and devices of one network the store
// lets wait at a time, 500 of each: a further one replaces the oldest.
const heldByNetwork = 1000

// WaitingRequest counts an authorization request, or a device, that waits for its user, or
// refuses it. The number of those is limited in all, so that a party with many networks,
// such as a site with its 256 of IPv6, must not take all places. A network that has all of
// its own takes no more, and must not use up those of its neighbours.
func (t *Throttle) WaitingRequest(ctx context.Context, by identity.Actor) error {
	if err := t.AuthorizationRequest(ctx, by); err != nil || t.holdsAll(by) {
		return err
	}
	if err := t.takeAround(ctx, by, waitingOfSite, waitingOfProvider); err != nil {
		return err
	}
	t.holdOne(by)
	return nil
}

// takeAround counts an act in the networks around that of the actor.
func (t *Throttle) takeAround(ctx context.Context, by identity.Actor, ofSite, ofProvider counter) error {
	network := networkOf(by)
	if site := identity.Around(network, 0, 48); site != network {
		if err := t.take(ctx, by, ofSite, site, factorOf(by)); err != nil {
			return err
		}
	}
	return t.take(ctx, by, ofProvider, identity.Around(network, 16, 32), factorOf(by))
}

// holdsAll reports whether a further request replaces another one of its network.
func (t *Throttle) holdsAll(by identity.Actor) bool {
	if t == nil || t.off {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	full, _ := t.waiting.of(networkOf(by), now).full(now, 0, factorOf(by))
	return full != nil
}

// holdOne counts a request that waits.
func (t *Throttle) holdOne(by identity.Actor) {
	if t == nil || t.off {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.waiting.of(networkOf(by), now).count(now)
}

// take counts an act of the network, user or client of that name; factor is how many times as
// high its limits are.
func (t *Throttle) take(ctx context.Context, by identity.Actor, c counter, name string, factor int) error {
	return t.ask(ctx, by, c, name, factor, true)
}

// ask is take for an act that may count later.
func (t *Throttle) ask(ctx context.Context, by identity.Actor, c counter, name string, factor int, counts bool) error {
	if t == nil || t.off {
		return nil
	}
	t.mu.Lock()
	now := t.now()
	one := t.limits[c].of(name, now)
	full, wait := one.full(now, 0, factor)
	if full == nil {
		if counts {
			one.count(now)
		}
		t.mu.Unlock()
		return nil
	}
	begins := one.begins(now)
	t.mu.Unlock()
	if begins {
		t.record(ctx, by, c, name)
	}
	return t.refuse(c, full.limit*factor, full.per, wait)
}

// record writes the event of a limit that is kept in memory.
func (t *Throttle) record(ctx context.Context, by identity.Actor, c counter, network string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
	defer cancel()
	act := store.Act{Action: identity.ActionThrottle, By: by, Detail: names[c] + " " + network}
	if err := t.store.RecordLimit(ctx, act); err != nil {
		t.log.ErrorContext(ctx, "audit event not stored", "action", string(act.Action), "detail", act.Detail, "error", err)
	}
}

// recordWithin is how long writing an event may take.
const recordWithin = 5 * time.Second

// networkOf is the network of the actor, never empty.
func networkOf(by identity.Actor) string {
	if by.Network == "" {
		return "unknown"
	}
	return by.Network
}

// factorOf is how many times as high the limits of the actor's network are: behind a
// proxy that is not configured it is that of all clients.
func factorOf(by identity.Actor) int {
	if by.UnknownProxy {
		return 10
	}
	return 1
}

// digestKey returns the key of the digests of unknown addresses.
func (t *Throttle) digestKey(ctx context.Context) ([]byte, error) {
	t.secretMu.Lock()
	defer t.secretMu.Unlock()
	if t.secret != nil {
		return t.secret, nil
	}
	text, err := t.store.ThrottleSecret(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the key of digests: %w", err)
	}
	key, err := hex.DecodeString(text)
	if err != nil || len(key) == 0 {
		return nil, fmt.Errorf("the setting throttle_secret is damaged: %w", err)
	}
	t.secret = key
	return key, nil
}

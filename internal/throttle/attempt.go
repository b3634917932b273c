package throttle

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

const (
	// patience is how long an attempt waits for others that may use up the limit.
	patience = 10 * time.Second

	// maxWaiting limits those that wait for one account.
	maxWaiting = 64

	// knownAgain is how often the sign-in of a known network is written.
	knownAgain = 24 * time.Hour

	// digests is how many rows each of the two counters has for unknown addresses.
	digests = 5_000
)

// Attempt is one admitted attempt to authenticate. The first call of Failed,
// Succeeded or Cancel decides it, and later ones do nothing. The zero Attempt is
// decided.
type Attempt struct {
	t       *Throttle
	by      identity.Actor
	user    *identity.User // zero: no user has the address
	key     store.ThrottleKey
	own     *flight // the account from the network
	all     *flight // the account over all networks
	network *tally  // nil: the network is known, and counts in own only

	admitted bool
	version  uint64 // of own at the admission
	guesses  store.Guesses

	admittedAt time.Time
}

// Admit admits an attempt to authenticate as the user, who is the zero User when no
// user has that e-mail address, or refuses it as Throttled. It is reserved before the
// password is hashed: attempts that are made at once cannot all pass before the first
// has failed. Those that would pass the limit if the others failed wait for them.
func (t *Throttle) Admit(ctx context.Context, by identity.Actor, user *identity.User, email string) (*Attempt, error) {
	if t == nil || t.off {
		return &Attempt{}, nil
	}
	key, err := t.keyOf(ctx, by, user, email)
	if err != nil {
		return nil, err
	}
	a := &Attempt{t: t, by: by, user: user, key: key}
	t.mu.Lock()
	a.own, a.all = t.hold(key.Account, key.Network), t.hold(key.Account, key.All)
	t.mu.Unlock()
	if err := a.enter(ctx); err != nil {
		a.Cancel()
		return nil, err
	}
	return a, nil
}

// enter returns when the attempt is admitted or refused.
func (a *Attempt) enter(ctx context.Context) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		decided, err := a.try(ctx)
		if err != nil || a.admitted {
			return err
		}
		select {
		case <-decided:
		case <-ctx.Done():
			err = ctx.Err()
		case <-late.C:
			err = a.t.refuse(accountInNetwork, freeInNetwork, failuresCount, time.Second)
		}
		a.t.mu.Lock()
		a.own.waiting--
		a.t.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// try reads the failures and admits or refuses the attempt. Otherwise it returns a
// channel that is closed when another attempt is decided.
func (a *Attempt) try(ctx context.Context) (decided <-chan struct{}, err error) {
	t := a.t
	for {
		t.mu.Lock()
		own, all := a.own.version, a.all.version
		t.mu.Unlock()
		g, err := t.store.Guesses(ctx, a.key)
		if err != nil {
			return nil, fmt.Errorf("read failed attempts: %w", err)
		}
		t.mu.Lock()
		if a.own.version != own || a.all.version != all { // written since the read, perhaps
			t.mu.Unlock()
			continue
		}
		a.guesses = g
		full, busy := a.limits()
		of, begins := a.begins(full)
		switch {
		case full != nil:
		case busy == nil:
			a.reserve()
		case a.own.waiting >= maxWaiting:
			full = &fullness{accountInNetwork, freeInNetwork, failuresCount, time.Second}
		default:
			a.own.waiting++
			decided = busy.next()
		}
		t.mu.Unlock()
		if begins {
			t.record(ctx, a.by, full.counter, of)
		}
		if full != nil {
			return nil, t.refuse(full.counter, full.quota, full.window, full.wait)
		}
		return decided, nil
	}
}

// fullness is a limit that refuses an attempt.
type fullness struct {
	counter      counter
	quota        int
	window, wait time.Duration
}

// begins returns the network or the user that the audit log is told about now.
func (a *Attempt) begins(full *fullness) (of string, begins bool) {
	now := a.t.now()
	switch {
	case full != nil && full.counter == network:
		return networkOf(a.by), a.tally().begins(now)
	case full != nil && full.counter == signInsOfUser:
		return a.user.ID, a.signIns().begins(now)
	default:
		return "", false
	}
}

// limits asks each counter: full is the one that refuses for the longest time, busy
// one that would if the pending attempts failed. The caller holds the lock.
func (a *Attempt) limits() (full *fullness, busy *signal) {
	now := a.t.now()
	ask := func(c counter, quota int, window time.Duration, capacity, pending int, wait time.Duration, s *signal) {
		switch {
		case capacity == 0 && (full == nil || wait > full.wait):
			full = &fullness{c, quota, window, wait}
		case capacity <= pending:
			busy = s
		}
	}
	capacity, wait := capacityInNetwork(a.guesses.Network, now)
	ask(accountInNetwork, freeInNetwork, failuresCount, capacity, a.own.pending, wait, &a.own.signal)
	if signIns := a.signIns(); signIns != nil {
		r, wait := signIns.full(now, 0, 1)
		if wait = signIns.rest(now, wait, signInEach); wait > 0 {
			ask(signInsOfUser, r.limit, r.per, 0, 0, wait, nil)
		}
	}
	if a.known() {
		return full, busy
	}
	capacity, wait = CapacityOfAccount(a.guesses.All, now)
	ask(account, freeOfAccount, failuresCount, capacity, a.all.pending, wait, &a.all.signal)
	one, factor := a.tally(), factorOf(a.by)
	if r, wait := one.full(now, 0, factor); r != nil {
		ask(network, r.limit*factor, r.per, 0, 0, wait, nil)
	} else if r, _ := one.full(now, one.pending, factor); r != nil {
		busy = &one.signal
	}
	return full, busy
}

// known reports whether the network signed the account in recently. An attacker
// in other networks cannot use up what it has.
func (a *Attempt) known() bool { return !a.guesses.SignedInAt.IsZero() }

// signIns is the tally of the user's sign-ins; nil: there were none.
func (a *Attempt) signIns() *tally { return a.t.limits[signInsOfUser].all[a.user.ID] }

func (a *Attempt) tally() *tally { return a.t.limits[network].of(networkOf(a.by), a.t.now()) }

// reserve admits the attempt. The caller holds the lock.
func (a *Attempt) reserve() {
	a.admitted, a.version, a.admittedAt = true, a.own.version, a.t.now()
	a.own.pending++
	if signIns := a.signIns(); signIns != nil {
		signIns.counted = a.t.now() // beyond the limit no other one passes while this is hashed
	}
	if a.known() {
		return
	}
	a.all.pending++
	a.network = a.tally()
	a.network.pending++
}

// Failed counts the attempt. An error means that it was not counted: the caller then
// must not say whether the password was right. It is Throttled if failures at other
// replicas have used up the limit since the attempt was admitted.
func (a *Attempt) Failed(ctx context.Context) error {
	if a.t == nil {
		return nil
	}
	_, err := a.t.store.CountGuess(context.WithoutCancel(ctx), a.key, a.network == nil, func(g store.Guesses) ([]store.Event, error) {
		before := g
		before.Network.Count--
		before.All.Count--
		return a.notices(g), a.usedUp(before)
	})
	a.settle(true, true)
	if err != nil {
		return fmt.Errorf("count failed attempt: %w", err)
	}
	return nil
}

// usedUp refuses an attempt that was admitted if others have failed since as often as
// the limits allow: this process knows its own pending attempts, not those of other
// replicas, so several of these may admit the last one at a time.
func (a *Attempt) usedUp(g store.Guesses) error {
	now := a.t.now()
	since := func(now, then store.Failures) int { return int(now.Count - then.Count) }
	if capacity, _ := capacityInNetwork(a.guesses.Network, a.admittedAt); since(g.Network, a.guesses.Network) >= capacity {
		_, wait := capacityInNetwork(store.Failures{Count: g.Network.Count, Last: now}, now)
		return a.t.refuse(accountInNetwork, freeInNetwork, failuresCount, wait)
	}
	if a.network == nil {
		return nil
	}
	if capacity, _ := CapacityOfAccount(a.guesses.All, a.admittedAt); since(g.All, a.guesses.All) >= capacity {
		_, wait := CapacityOfAccount(store.Failures{Count: g.All.Count, Last: now}, now)
		return a.t.refuse(account, freeOfAccount, failuresCount, wait)
	}
	return nil
}

// notices are the events of limits that begin with this failure.
func (a *Attempt) notices(g store.Guesses) (events []store.Event) {
	tell := func(action identity.Action, detail string) {
		act := store.Act{Action: action, By: a.by, Detail: detail}
		events = append(events, act.Event(store.OutcomeRefused, a.user.ID, a.user.OrgID))
	}
	if g.Network.Count == freeInNetwork {
		tell(identity.ActionThrottle, names[accountInNetwork]+" "+networkOf(a.by))
	}
	switch g.All.Count {
	case freeOfAccount:
		tell(identity.ActionThrottle, names[account])
	case manyFailures:
		tell(identity.ActionManyGuesses, strconv.Itoa(manyFailures)+" failures")
	}
	return events
}

// Succeeded counts a sign-in, forgets the failures of the account from the network, and
// makes the network known. It writes only what has changed. An error is as that of Failed.
func (a *Attempt) Succeeded(ctx context.Context) error {
	if a.t == nil {
		return nil
	}
	g, err := a.t.store.Guesses(ctx, a.key)
	if err != nil {
		return fmt.Errorf("read failed attempts: %w", err)
	}
	if err := a.usedUp(g); err != nil {
		return err // the caller cancels the attempt
	}
	a.t.mu.Lock()
	changed := a.own.version != a.version
	now := a.t.now()
	a.t.limits[signInsOfUser].of(a.user.ID, now).count(now)
	a.t.mu.Unlock()
	recently := now.Sub(a.guesses.SignedInAt) < knownAgain
	if recently && !changed && a.guesses.Network.Count == 0 {
		a.settle(false, false)
		return nil
	}
	err = a.t.store.ForgetGuesses(ctx, a.user.ID, a.key.Network)
	a.settle(true, false)
	if err != nil {
		return fmt.Errorf("forget failed attempts: %w", err)
	}
	return nil
}

// Cancel ends an attempt of which nothing was learned, such as one that was not
// hashed.
func (a *Attempt) Cancel() { a.settle(false, false) }

// settle ends the attempt; written says that the rows of the store may have changed.
func (a *Attempt) settle(written, failed bool) {
	t := a.t
	if t == nil {
		return
	}
	a.t = nil
	t.mu.Lock()
	defer t.mu.Unlock()
	if written {
		a.own.version++
		a.all.version++
	}
	if a.admitted {
		a.own.pending--
		a.own.wake()
	}
	if a.network != nil {
		a.all.pending--
		a.all.wake()
		a.network.pending--
		a.network.wake()
		if failed {
			a.network.count(t.now())
		}
	}
	t.release(a.own)
	t.release(a.all)
}

// keyOf names the rows of the account. An unknown address has one of a fixed number,
// so that a flood of them takes no space, and the rows do not tell which it was.
func (t *Throttle) keyOf(ctx context.Context, by identity.Actor, user *identity.User, email string) (store.ThrottleKey, error) {
	key, err := t.digestKey(ctx)
	if err != nil {
		return store.ThrottleKey{}, err
	}
	name := networkOf(by)
	if user.ID != "" {
		return store.ThrottleKey{Account: user.ID, Network: name}, nil
	}
	if identity.Storable(email) {
		email = identity.EmailKey(email)
	}
	digest := func(kind, of string) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(kind + "\x00" + of + "\x00" + email))
		return kind + strconv.FormatUint(binary.BigEndian.Uint64(mac.Sum(nil))%digests, 10)
	}
	return store.ThrottleKey{Account: store.UnknownAccount, Network: digest("network ", name), All: digest("account ", "")}, nil
}

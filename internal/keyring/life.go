package keyring

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/store"
)

// own is an act of the server itself.
func own(action identity.Action) store.Act {
	return store.Act{Action: action, By: identity.Actor{Kind: identity.ActorSystem}}
}

// The life of a key is counted in time that servers saw pass by their monotonic
// clocks, added up in its row, and not by the wall's clock: one that jumps
// forward must not remove a key whose tokens are still good, nor let one sign
// before its clients can know it. While nobody runs nothing is counted, and keys
// only stay longer.

// untilDue is how much of its present status a key has before it: until next
// becomes active, or retiring removed. Zero or less: it is due.
func (o *opener) untilDue(row store.SigningKey) time.Duration {
	switch row.Status {
	case store.KeyNext:
		return o.publishAhead - row.Counted
	case store.KeyRetiring:
		keep := o.keepFor(row)
		// A wall's clock that was set back makes tokens live longer. Time that
		// was counted tells nothing of that, so both must have passed.
		return max(keep-row.Counted, keep-o.now().Sub(row.RetiredAt))
	case store.KeyActive, store.KeyRemoved:
	}
	return 0
}

// keepFor is how long a key has to be published after another took over: until
// its last token has expired.
func (o *opener) keepFor(row store.SigningKey) time.Duration {
	return cmp.Or(row.TokenLife, o.tokenLife) + o.leeway + followWithin
}

// outOfAge reports whether rotateEvery asks for another key. One that was made
// active in the future was so by a clock in error; its age is not known.
func (o *opener) outOfAge(activated time.Time) bool {
	if o.rotateEvery == 0 || activated.IsZero() {
		return false
	}
	age := o.now().Sub(activated)
	return age >= o.rotateEvery || age < -clockError
}

// steer begins a rotation where the active key is of another algorithm than the
// configured one, and withdraws a next key that would lead away from it.
func (o *opener) steer(ctx context.Context, set store.KeySet, adopted string) (store.KeySet, error) {
	active, next, wanted := set.Active(), set.Next(), string(o.files.algorithm)
	var changes []store.KeyChange
	if next != nil && next.Algorithm != wanted {
		row := *next
		row.Status = store.KeyRemoved
		changes = append(changes, store.KeyChange{SigningKey: row, Act: own(identity.ActionKeyWithdraw)})
		o.log.Info("withdrew the next signing key: auth.algorithm is another one", "kid", row.KID, "algorithm", row.Algorithm)
		next = nil
	}
	if active.Algorithm != wanted && next == nil {
		change, err := o.newNext(o.files.algorithm, adopted, own(identity.ActionKeyRotate))
		if err != nil {
			return set, err
		}
		changes = append(changes, change)
	}
	if len(changes) == 0 {
		return set, nil
	}
	return o.put(ctx, set, changes...)
}

// newNext makes a key that is to be next. Its private half is committed before
// anything is recorded: one that a stop in between leaves behind was never
// published and signs nothing.
func (o *opener) newNext(algorithm jose.Algorithm, adopted string, act store.Act) (store.KeyChange, error) {
	key, err := generate(algorithm, o.rsaBits)
	if err != nil {
		return store.KeyChange{}, err
	}
	return o.asNext(key, adopted, act)
}

func (o *opener) asNext(key *jose.PrivateKey, adopted string, act store.Act) (store.KeyChange, error) {
	row, err := o.newRow(key, store.KeyNext, adopted)
	if err != nil {
		return store.KeyChange{}, err
	}
	err = o.stow(&row, key)
	return store.KeyChange{SigningKey: row, Act: act}, err
}

// activate lets next sign in the place of the active key. Without its private
// half at hand nothing is changed.
func (o *opener) activate(ctx context.Context, set store.KeySet, next store.SigningKey, act store.Act) (store.KeySet, error) {
	if _, err := o.private(next); err != nil {
		return set, err
	}
	next.Status, next.TokenLife = store.KeyActive, max(next.TokenLife, o.tokenLife)
	changes := []store.KeyChange{{SigningKey: next, Act: act}}
	if former := set.Active(); former != nil {
		row := *former
		row.Status = store.KeyRetiring
		retired := act
		retired.Action = identity.ActionKeyRetire
		changes = []store.KeyChange{{SigningKey: row, Act: retired}, changes[0]}
	}
	set, err := o.put(ctx, set, changes...)
	if err == nil {
		o.arrange(set)
	}
	return set, err
}

// remove ends keys for good: nothing that they signed is accepted any more.
func (o *opener) remove(ctx context.Context, set store.KeySet, act store.Act, rows ...store.SigningKey) (store.KeySet, error) {
	var changes []store.KeyChange
	for _, row := range rows {
		row.Status = store.KeyRemoved
		changes = append(changes, store.KeyChange{SigningKey: row, Act: act})
	}
	set, err := o.put(ctx, set, changes...)
	if err == nil {
		o.arrange(set)
	}
	return set, err
}

// Step counts the time that has passed since it was last called, if this is the
// one replica that does, and takes the steps that are due: it lets the next key
// sign, removes the one whose last token has expired, and begins the rotation
// that rotateEvery asks for. It costs nothing while there is nothing to come, so
// call it as often as Pace says. What fails is tried again next time, here or by
// another replica.
func (r *Ring) Step(ctx context.Context) error {
	r.stepping.Lock()
	defer r.stepping.Unlock()
	o, h := r.opener, r.held.Load()
	if o.store == nil || !h.underWay && !o.outOfAge(r.Active().ActivatedAt) {
		return r.rest(ctx)
	}
	err := r.step(ctx)
	if err != nil {
		r.watched = nil
		if errors.Is(err, store.ErrKeysChanged) {
			return nil // by an operator, or another replica; look again
		}
	}
	return err
}

func (r *Ring) step(ctx context.Context) error {
	o, now := r.opener, r.opener.monotonic()
	counted, held, err := o.store.CountKeyTime(ctx, r.holder, countLease, r.passed(now)...)
	if err != nil || !held {
		r.watched = nil
		return err
	}
	r.counting = true
	set, err := o.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	r.watch(set, counted, now)
	if !o.anyDue(set) {
		return nil
	}
	err = o.inside(ctx, func(o *opener) error { return o.advance(ctx, set) })
	if err != nil {
		if next := set.Next(); next != nil && o.untilDue(*next) <= 0 && !o.has(*next) {
			r.lacked.Store(&next.KID)
		}
		// Another replica may have what this one lacks.
		return errors.Join(err, r.rest(ctx))
	}
	r.lacked.Store(nil)
	if set, err = o.store.SigningKeys(ctx); err != nil {
		return err
	}
	r.watch(set, counted, now)
	return r.Refresh(ctx)
}

func (o *opener) has(row store.SigningKey) bool {
	_, err := o.private(row)
	return err == nil
}

// watched is since when this replica has counted for a key, by the monotonic
// clock.
type watched struct {
	status store.KeyStatus
	since  time.Duration
}

func (r *Ring) passed(now time.Duration) (all []store.KeyTime) {
	for kid, w := range r.watched {
		all = append(all, store.KeyTime{KID: kid, Status: w.status, Passed: now - w.since})
	}
	return all
}

// watch begins to count for keys that came into a status since the last time,
// and goes on from now for those whose time was counted up to it.
func (r *Ring) watch(set store.KeySet, counted bool, now time.Duration) {
	fresh, before := r.opener.monotonic(), r.watched
	r.watched = map[string]watched{}
	for _, row := range set.Keys {
		if row.Status != store.KeyNext && row.Status != store.KeyRetiring {
			continue
		}
		w := watched{row.Status, fresh}
		if counted && before[row.KID].status == row.Status {
			w.since = now
		}
		r.watched[row.KID] = w
	}
}

// rest lets another replica count, or nobody.
func (r *Ring) rest(ctx context.Context) error {
	r.watched = nil
	if !r.counting {
		return nil
	}
	r.counting = false
	return r.opener.store.StopCountingKeyTime(ctx, r.holder)
}

// Rest ends counting, so that another replica begins at once. It is for the end
// of the program.
func (r *Ring) Rest(ctx context.Context) error {
	r.stepping.Lock()
	defer r.stepping.Unlock()
	return r.rest(ctx)
}

func (o *opener) anyDue(set store.KeySet) bool {
	for _, row := range set.Keys {
		if (row.Status == store.KeyNext || row.Status == store.KeyRetiring) && o.untilDue(row) <= 0 {
			return true
		}
	}
	active := set.Active()
	return active != nil && set.Next() == nil && o.outOfAge(active.ActivatedAt)
}

// advance takes every step that is due.
func (o *opener) advance(ctx context.Context, set store.KeySet) (err error) {
	if next := set.Next(); next != nil && o.untilDue(*next) <= 0 {
		kid, algorithm := next.KID, next.Algorithm
		if set, err = o.activate(ctx, set, *next, own(identity.ActionKeyActivate)); err != nil {
			return err
		}
		o.log.Info("another key signs now", "kid", kid, "algorithm", algorithm)
	}
	var gone []store.SigningKey
	for _, row := range set.Keys {
		if row.Status == store.KeyRetiring && o.untilDue(row) <= 0 {
			gone = append(gone, row)
			o.log.Info("removing a signing key: the last token that it signed has expired", "kid", row.KID, "algorithm", row.Algorithm)
		}
	}
	if len(gone) > 0 {
		if set, err = o.remove(ctx, set, own(identity.ActionKeyRemove), gone...); err != nil {
			return err
		}
	}
	active := set.Active()
	if active == nil || set.Next() != nil || !o.outOfAge(active.ActivatedAt) {
		return nil
	}
	return o.renew(ctx, set, *active)
}

// renew begins the rotation that the age of the active key asks for. It keeps to
// that key's algorithm: a replica that was not yet restarted with another
// auth.algorithm must not turn it back.
func (o *opener) renew(ctx context.Context, set store.KeySet, active store.SigningKey) error {
	change, err := o.newNext(jose.Algorithm(active.Algorithm), "", own(identity.ActionKeyRotate))
	if err != nil {
		return err
	}
	_, err = o.put(ctx, set, change)
	if err == nil {
		o.log.Info("the active signing key has reached keys.rotate_every; another is published and takes over",
			"kid", active.KID, "next", change.KID, "in", o.publishAhead.String())
	}
	return err
}

package throttle

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// ProfileChange counts a change that a user makes of the own profile, or refuses it.
// Each is an event in the audit log, and anyone who registers can make them.
func (t *Throttle) ProfileChange(ctx context.Context, by identity.Actor) error {
	return t.take(ctx, by, profileChangesOfUser, by.UserID(), 1)
}

// Assertion stores a client assertion with use, until it expires, or refuses it. One that
// use refuses does not count: an attacker who has a used one must not use up the limit.
func (t *Throttle) Assertion(ctx context.Context, by identity.Actor, clientID string, use func() error) error {
	if err := t.ask(ctx, by, assertionsOfClient, clientID, 1, false); err != nil {
		return err
	}
	if err := use(); err != nil || t == nil || t.off {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.limits[assertionsOfClient].of(clientID, now).count(now)
	return nil
}

// Grant counts a code for the client, or without a client what the user decides on a page,
// or refuses it: each is an event in the audit log, and a page of the client makes the
// browser ask for codes. One client that does so without pause must not stop the others: a
// client with few of the grants of a user is not refused for all that the user has.
func (t *Throttle) Grant(ctx context.Context, by identity.Actor, userID, clientID string) error {
	if t == nil || t.off || userID == "" {
		return nil
	}
	t.mu.Lock()
	now := t.now()
	all := t.limits[grantsOfUser].of(userID, now)
	if !all.reaches(now, t.shares.rates) { // as nearly all users: nothing is kept for each of their clients
		all.count(now)
		t.mu.Unlock()
		return nil
	}
	own := t.shares.of(userID+" "+clientID, now)
	full, wait := all.full(now, 0, 1)
	share, sooner := own.full(now, 0, 1)
	wait = own.rest(now, min(wait, sooner), grantEach)
	if full == nil || share == nil || wait == 0 {
		if own.count(now); full == nil {
			all.count(now)
		}
		t.mu.Unlock()
		return nil
	}
	begins := own.begins(now)
	t.mu.Unlock()
	if begins {
		t.record(ctx, by, grantsOfUser, strings.TrimSpace(userID+" "+clientID))
	}
	pause(ctx)
	return t.refuse(grantsOfUser, full.limit, full.per, wait)
}

// Beyond the limits that a user has, one act in such a time goes on: a program that signs
// in often, or a client that asks for codes, must not stop the user for the rest of a day.
const (
	signInEach = time.Second
	grantEach  = time.Minute // of each client
	changeEach = time.Second
	clientEach = time.Minute
)

// Change counts what an administrator of one organization does in it, or refuses it: each
// is an event, and most leave a row. Superadmins and the command line have no limit, since
// they are trusted with the whole server.
func (t *Throttle) Change(ctx context.Context, by identity.Actor) error {
	_, err := t.change(ctx, by, changesOfOrganization, changeEach)
	return err
}

// NewClient is Change for create, which makes a client or service token: their rows are
// large. Where it makes none, nothing is used up: a program may ask for its service token
// at each start, and gets the one that exists.
func (t *Throttle) NewClient(ctx context.Context, by identity.Actor, create func() (made bool, err error)) error {
	changes, err := t.change(ctx, by, changesOfOrganization, changeEach)
	if err != nil {
		return err
	}
	clients, err := t.change(ctx, by, clientsOfOrganization, clientEach)
	made := false
	if err == nil {
		made, err = create()
	}
	if !made {
		t.takeBack(changes, clients)
	}
	return err
}

// takeBack forgets the act that each tally counted last; nil: it counted none.
func (t *Throttle) takeBack(counted ...*tally) {
	for _, one := range counted {
		if one != nil {
			t.mu.Lock()
			one.takeBack(t.now())
			t.mu.Unlock()
		}
	}
}

// change returns where it counted the act; nil: the actor has no limit.
func (t *Throttle) change(ctx context.Context, by identity.Actor, c counter, each time.Duration) (*tally, error) {
	if t == nil || t.off || by.Kind == identity.ActorSystem {
		return nil, nil
	}
	actor, err := t.store.Principal(ctx, by)
	switch {
	case fault.KindOf(err) == fault.Forbidden:
		return nil, nil // the act is refused
	case err != nil:
		return nil, fmt.Errorf("read actor: %w", err)
	case actor.Role != identity.OrgAdmin || !actor.Active:
		return nil, nil // it has no limit, or is refused: an actor that may do nothing must not use up the limit
	}
	t.mu.Lock()
	now := t.now()
	one := t.limits[c].of(actor.OrgID, now)
	full, wait := one.full(now, 0, 1)
	if wait = one.rest(now, wait, each); wait == 0 {
		one.count(now)
		t.mu.Unlock()
		return one, nil
	}
	begins := one.begins(now)
	t.mu.Unlock()
	if begins {
		t.record(ctx, by, c, actor.OrgID)
	}
	return nil, t.refuse(c, full.limit, full.per, wait)
}

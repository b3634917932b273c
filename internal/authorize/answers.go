package authorize

import (
	"context"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// ErrNotAsked refuses an answer to a question that is not asked, such as one that was given
// already.
var ErrNotAsked = fault.New(fault.Conflict, "not_asked", "this step of the sign-in is done; go on")

// SignedIn records that the user of the browser has just signed in for the request, with
// the session of that id. The browser gets another secret, which all its requests
// belong to. When it sends its form twice, the second one is a sign-in too: the browser
// shows the response to that, and may never have seen the first one.
func (q *Requests) SignedIn(ctx context.Context, id string, b Browser, sessionID string) (Secret, error) {
	secret := newSecret()
	ref := b.ref(id)
	ref.SessionID, ref.Replaced = sessionID, true
	err := q.store.DecideAuthorization(ctx, ref, secret.hash(), func(a *store.Authorization) error {
		if a.SessionID == "" {
			return ErrNotFound
		}
		a.Decided = store.Decisions{SessionID: a.SessionID, SignedIn: true}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("record sign-in: %w", err)
	}
	return secret, nil
}

// Choose records that the user continues with the account that is signed in.
func (q *Requests) Choose(ctx context.Context, id string, b Browser) error {
	err := q.store.DecideAuthorization(ctx, b.ref(id), "", func(a *store.Authorization) error {
		if step, refusal := missing(*a); refusal != nil || step != ChooseAccount && step != ContinueAs {
			return ErrNotAsked
		}
		a.Decided = ofSession(*a)
		a.Decided.Chosen = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("record the chosen account: %w", err)
	}
	return nil
}

// Another records that the user wants to sign in with another account. Where that would
// change nothing, as for the second click, nothing is written: the clicks are not limited.
func (q *Requests) Another(ctx context.Context, asked Question, b Browser) error {
	if asked.User.ID == "" || asked.Another {
		return nil
	}
	err := q.store.DecideAuthorization(ctx, b.ref(asked.ID), "", func(a *store.Authorization) error {
		a.Decided = store.Decisions{SessionID: a.SessionID, Another: true}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record the wish for another account: %w", err)
	}
	return nil
}

// Consent records that the user allows the client all that the request asks for. Too many
// decisions of the user are Throttled.
func (q *Requests) Consent(ctx context.Context, by identity.Actor, id string, b Browser) error {
	if err := q.throttle.Grant(ctx, by, by.UserID(), ""); err != nil {
		return err
	}
	act := store.Act{Action: identity.ActionConsent, By: by}
	err := q.store.Consent(ctx, act, b.ref(id), func(a *store.Authorization) error {
		if step, refusal := missing(*a); refusal != nil || step != Consent {
			return ErrNotAsked
		}
		a.Decided = ofSession(*a)
		a.Decided.Consented = a.Request.Allowance(a.Client)
		return nil
	})
	if err != nil {
		return fmt.Errorf("record consent: %w", err)
	}
	return nil
}

// ofSession are the decisions that were made in the present session.
func ofSession(a store.Authorization) store.Decisions {
	if a.Decided.SessionID != a.SessionID {
		return store.Decisions{SessionID: a.SessionID}
	}
	return a.Decided
}

// Deny ends the request: the user does not allow it, or cancels. The client is told.
func (q *Requests) Deny(ctx context.Context, by identity.Actor, id string, b Browser) (Next, error) {
	a, err := q.store.EndAuthorization(ctx, b.ref(id))
	if err != nil {
		return Next{}, fmt.Errorf("deny authorization request: %w", err)
	}
	refusal := oauth.Refuse(oauth.AccessDenied, "the user denied the request")
	q.refuse(ctx, by, a, refusal)
	return q.refused(a.Request.Destination, refusal), nil
}

package store

import (
	"context"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// Consent is what a user allowed a client.
type Consent struct {
	ClientID  string
	Client    oauth.Client
	Scope     string // separated by spaces
	GrantedAt time.Time
}

// Consent records that the user of the browser allows the client all that the request
// asks for. It is remembered beyond the session.
func (s *Store) Consent(ctx context.Context, act Act, ref AuthorizationRef, decide func(a *Authorization) error) error {
	return s.write(ctx, func(t *tx) error {
		a, err := t.authorization(ref, t.forUpdate)
		if err == nil {
			err = decide(&a)
		}
		if err == nil {
			err = t.setDecided(a)
		}
		if err != nil {
			return err
		}
		allowed := a.Request.Allowance(a.Client)
		if err := t.giveConsent(a.User.ID, a.Client.ID, oauth.JoinScopes(a.Granted, allowed)); err != nil {
			return err
		}
		act.By, act.Detail = act.By.AsUser(a.User.ID), "scope "+allowed
		return t.done(act, a.Client.ID, a.User.OrgID)
	})
}

// giveConsent stores all that the user allows the client from now on.
func (t *tx) giveConsent(userID, clientID, scope string) error {
	_, err := t.exec(`INSERT INTO consents (user_id, client_id, scope, granted_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id, client_id) DO UPDATE SET scope = $3, granted_at = $4`, userID, clientID, scope, t.stamp())
	return err
}

// Consents returns what the user allowed clients, by their names.
func (s *Store) Consents(ctx context.Context, userID string) (all []Consent, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		all, err = collect(t, func(r scanner) (c Consent, err error) {
			err = r.Scan(&c.ClientID, &c.Scope, timeColumn{&c.GrantedAt})
			return c, err
		}, `SELECT n.client_id, n.scope, n.granted_at FROM consents n JOIN clients c ON c.id = n.client_id
			WHERE n.user_id = $1 ORDER BY n.granted_at, n.client_id`, userID)
		for i := range all {
			if err == nil {
				all[i].Client, err = t.client(all[i].ClientID, "")
			}
		}
		return err
	})
	return all, err
}

// WithdrawConsent forgets what the user that the actor is, or acts for, allowed the client,
// and ends what the client holds of them, with the codes that it has not exchanged. It is
// identity.ErrNoConsent when there is none.
func (s *Store) WithdrawConsent(ctx context.Context, act Act, clientID string) error {
	// A client that needs no consent can exchange its code in spite of the withdrawal.
	return s.write(ctx, func(t *tx) error {
		codes := selection{
			"authorization_requests", "id", unusedCodes + " AND session_id IN (SELECT id FROM sessions WHERE user_id = $4)",
			append(t.unusedCodes(clientID), act.By.UserID()),
		}
		if err := t.lock(codes.table, "a", codes.which, codes.args...); err != nil { // before the user, as an exchange locks them
			return err
		}
		u, err := t.user(act.By.UserID(), t.forUpdate("u"))
		if err != nil {
			return err
		}
		n, err := t.exec("DELETE FROM consents WHERE user_id = $1 AND client_id = $2", u.ID, clientID)
		if err == nil && n != 1 {
			err = identity.ErrNoConsent
		}
		if err == nil {
			_, err = t.deleteUnlocked(codes)
		}
		if err == nil {
			_, err = t.end(EndConsent, subjects{userID: u.ID, clientID: clientID})
		}
		if err != nil {
			return err
		}
		return t.done(act, clientID, u.OrgID)
	})
}

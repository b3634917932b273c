package store

import (
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// inherit fills in the owner of a new token: the user who creates it. One that a
// service token creates has the same owner as that, and expires no later.
func (t *tx) inherit(by identity.Actor, st *identity.ServiceToken) error {
	var end time.Time
	var err error
	if st.OwnerID, end, err = t.ownership(by); err != nil || end.IsZero() {
		return err
	}
	if st.ExpiresAt.IsZero() {
		st.ExpiresAt = end
	}
	if st.ExpiresAt.After(end) {
		return fault.BadField("expires_at", "expires_at must not be after the expiry of the service token that creates this one")
	}
	return nil
}

// ownership returns the user who owns what the actor creates, empty: none, and when
// that ends at the latest, zero: never.
func (t *tx) ownership(by identity.Actor) (ownerID string, end time.Time, err error) {
	switch by.Kind {
	case identity.ActorUser, identity.ActorClient:
		return by.UserID(), time.Time{}, nil
	case identity.ActorServiceToken:
		st, err := t.service("s.id = $1", "", by.ID)
		return st.OwnerID, st.ExpiresAt, err
	default:
		return "", time.Time{}, nil
	}
}

// disown applies act.Tokens to the service tokens of a user who is suspended,
// deleted, demoted or moved. Without a decision a user who owns usable ones is a Conflict
// "owns_service_tokens" that names them.
func (t *tx) disown(act Act, userID string) error {
	for { // one that an owned token created concurrently is found in the next round
		owned, err := collect(t, scanService, "SELECT "+serviceColumns+" FROM "+serviceTables+` WHERE s.owner_id = $1 AND s.revoked_at IS NULL
			AND (s.expires_at IS NULL OR s.expires_at > $2) ORDER BY s.created_at, s.id`+t.forUpdate("s"), userID, t.stamp())
		if err != nil || len(owned) == 0 {
			return err
		}
		actor, err := t.principal(act.By, unlocked)
		if err != nil {
			return err
		}
		heir, _, err := t.ownership(act.By)
		switch {
		case err != nil:
			return err
		case act.Tokens == "", act.Tokens == identity.KeepTokens && heir == userID:
			return ownsServiceTokens(owned)
		}
		for _, st := range owned {
			if err := t.decide(act, actor, heir, st); err != nil {
				return err
			}
		}
	}
}

// decide revokes the service token or gives it to the heir. Both need the permission
// to give its role.
func (t *tx) decide(act Act, actor identity.Principal, heir string, st identity.ServiceToken) error {
	if err := identity.MayRevoke(actor, st); err != nil {
		return err
	}
	act.Detail = st.Name
	if act.Tokens == identity.RevokeTokens {
		act.Action = identity.ActionRevokeServiceToken
		return t.revokeService(act, st)
	}
	act.Action = identity.ActionTakeServiceToken
	if _, err := t.exec("UPDATE service_tokens SET owner_id = $1 WHERE id = $2", heir, st.ID); err != nil {
		return err
	}
	return t.done(act, st.ID, st.OrgID)
}

// ownsServiceTokens is the refusal of a change without a decision.
func ownsServiceTokens(owned []identity.ServiceToken) error {
	f := fault.New(fault.Conflict, "owns_service_tokens",
		"the user owns service tokens: decide with service_tokens whether to revoke them, or to keep them without this owner")
	for _, st := range owned {
		f.Fields = append(f.Fields, fault.Field{Name: "service_tokens", Message: st.Name})
	}
	return f
}

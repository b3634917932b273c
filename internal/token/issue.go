package token

import (
	"context"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Issue starts a session for the person that login has just proven, and
// returns its first pair. The transaction asks again whether the person may
// sign in and whether the verified password is still theirs.
func (i *Issuer) Issue(ctx context.Context, by identity.Actor, user identity.User) (Pair, error) {
	if err := i.keys.Ready(ctx); err != nil {
		return Pair{}, err
	}
	d := i.draft(i.now())
	familyID := newID()
	by = by.AsUser(user.ID)
	by.FamilyID = familyID
	act := store.Act{Action: identity.ActionLogin, By: by}
	end := d.issuedAt.Add(i.sessionMax)
	if d.next.ExpiresAt.After(end) {
		d.next.ExpiresAt = end
	}
	grant, err := i.store.StartFamily(ctx, act, user.ID, user.PasswordHash, familyID, end, d.next)
	if err != nil {
		if fault.KindOf(err) == fault.Unauthenticated { // suspended, or a new password, since the proof
			i.audit.Failed(ctx, store.Event{
				Action: identity.ActionLogin, TargetID: user.ID, OrgID: user.OrgID,
				Address: by.Address, RequestID: by.RequestID, Detail: "changed_meanwhile",
			})
		}
		return Pair{}, fmt.Errorf("start session: %w", err)
	}
	i.counts.issued.Add(1)
	return i.seal(d, grant)
}

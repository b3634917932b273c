package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Issue starts a session for the person that login has just proven, and
// returns its first pair. The transaction asks again whether the person may
// sign in and whether the verified password is still theirs.
func (i *Issuer) Issue(ctx context.Context, by identity.Actor, user identity.User) (Pair, error) {
	d := i.draft(i.now())
	familyID := newID()
	by.UserID, by.FamilyID = user.ID, familyID
	act := store.Act{Action: audit.Login, By: by}
	end := d.issuedAt.Add(i.sessionMax)
	if d.next.ExpiresAt.After(end) {
		d.next.ExpiresAt = end
	}
	grant, err := i.store.StartFamily(ctx, act, user.ID, user.PasswordHash, familyID, end, d.next)
	if err != nil {
		if fault.KindOf(err) == fault.Unauthenticated { // suspended, or a new password, since the proof
			i.audit.Failed(ctx, store.Event{
				Action: audit.Login, TargetID: user.ID, OrgID: user.OrgID,
				Address: by.Address, RequestID: by.RequestID, Detail: "changed_meanwhile",
			})
		}
		return Pair{}, fmt.Errorf("start session: %w", err)
	}
	i.counts.issued.Add(1)
	i.audit.Done(ctx, act, user.ID)
	return i.seal(d, grant)
}

// Rotate spends the presented refresh token and returns the next pair of its
// session. A token that was spent before ends the session: one of the two who
// presented it is a thief.
func (i *Issuer) Rotate(ctx context.Context, by identity.Actor, presented string) (Pair, error) {
	hashes, err := i.hashes(presented)
	if err != nil {
		i.counts.refused.Add(1)
		return Pair{}, err
	}
	d := i.draft(i.now())
	grant, err := i.store.RotateRefresh(ctx, by, hashes, d.next)
	if err != nil {
		i.countRefusal(ctx, by, err)
		return Pair{}, fmt.Errorf("rotate refresh token: %w", err)
	}
	i.counts.rotated.Add(1)
	return i.seal(d, grant)
}

func (i *Issuer) countRefusal(ctx context.Context, by identity.Actor, err error) {
	switch {
	case errors.Is(err, store.ErrReuse):
		i.counts.reused.Add(1)
		i.audit.Failed(ctx, store.Event{
			Action: audit.Reuse, Address: by.Address, RequestID: by.RequestID,
		})
	case fault.KindOf(err) == fault.Unauthenticated:
		i.counts.refused.Add(1)
	}
}

// Logout ends the session of the presented access token. Doing it twice is no
// error.
func (i *Issuer) Logout(ctx context.Context, by identity.Actor) error {
	if by.FamilyID == "" {
		// Access tokens of the original name no session; they outlive a move by
		// a quarter of an hour.
		return fault.BadField("body.refresh_token", "this access token names no session: send the refresh token")
	}
	act := store.Act{Action: audit.Logout, By: by}
	if err := i.store.EndFamily(ctx, act, by.FamilyID); err != nil {
		return fmt.Errorf("log out: %w", err)
	}
	i.audit.Done(ctx, act, by.UserID)
	return nil
}

// LogoutByRefresh ends the session of the presented refresh token, spent or
// not.
func (i *Issuer) LogoutByRefresh(ctx context.Context, by identity.Actor, presented string) error {
	hashes, err := i.hashes(presented)
	if err != nil {
		return err
	}
	act := store.Act{Action: audit.Logout, By: by}
	act.By.FamilyID, err = i.store.EndFamilyByToken(ctx, act, hashes)
	if err != nil {
		return fmt.Errorf("log out: %w", err)
	}
	i.audit.Done(ctx, act, act.By.FamilyID)
	return nil
}

// RevokedJTIs lists the unexpired access tokens whose session was ended in a
// way that revokes them, for verifiers that poll. It is never nil.
func (i *Issuer) RevokedJTIs(ctx context.Context) ([]string, error) {
	jtis, err := i.store.RevokedJTIs(ctx)
	if err != nil {
		return nil, fmt.Errorf("list revoked access tokens: %w", err)
	}
	return jtis, nil
}

// Bearer returns the person of a verified access token, freshly read, or
// ErrInvalid when they or the token's session may not take part any more.
// familyID is the claim sid; empty: the token names none.
func (i *Issuer) Bearer(ctx context.Context, userID, familyID string) (identity.User, error) {
	user, ended, err := i.store.Bearer(ctx, userID, familyID)
	if fault.KindOf(err) == fault.NotFound {
		return identity.User{}, ErrInvalid
	}
	if err != nil {
		return identity.User{}, fmt.Errorf("read bearer: %w", err)
	}
	if !identity.CanSignIn(user) || ended.RefusedHere() {
		return identity.User{}, ErrInvalid
	}
	return user, nil
}

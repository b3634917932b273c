package store

import (
	"context"
	"errors"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// permit applies rule to the actor as the database knows it now.
func (t *tx) permit(by identity.Actor, rule func(actor identity.Principal) error) error {
	actor, err := t.principal(by, t.forShare)
	if err != nil {
		return err
	}
	return rule(actor)
}

// principal reads the actor. An unauthenticated or deleted actor has no
// permission.
func (t *tx) principal(by identity.Actor, lock func(alias string) string) (p identity.Principal, err error) {
	switch by.Kind {
	case identity.ActorSystem:
		return identity.System(), nil
	case identity.ActorUser:
		p, err = t.signedIn(by, lock("u"))
	case identity.ActorServiceToken:
		var st identity.ServiceToken
		st, err = t.service("s.id = $1", lock("s"), by.ID)
		p = st.Principal(t.now)
	case identity.ActorClient:
		p, err = t.clientPrincipal(by, lock)
	default:
		return identity.Principal{}, identity.ErrForbidden
	}
	if fault.KindOf(err) == fault.NotFound {
		err = identity.ErrForbidden
	}
	return p, err
}

// clientPrincipal reads a client as an actor: of itself, or on behalf of a user.
func (t *tx) clientPrincipal(by identity.Actor, lock func(alias string) string) (p identity.Principal, err error) {
	c, err := t.clientAlone(by.ID, lock("c"))
	if err != nil {
		return p, err
	}
	client := identity.Principal{Kind: identity.ActorClient, ID: c.ID, Role: identity.Role(c.Role), OrgID: c.OrgID, Active: !c.Suspended, Recent: true}
	if by.OnBehalfOf == "" {
		if c.OrgID == "" { // what it creates would belong to no organization
			client.OrgID, client.Active = identity.DefaultOrg, client.Active && client.Role == identity.Superadmin
		}
		return client, nil
	}
	user, err := t.signedIn(by.AsUser(by.OnBehalfOf), lock("u"))
	return user.Through(client), err
}

// signedIn reads a user as an actor, with the time of the authentication of the
// session that they act in.
func (t *tx) signedIn(by identity.Actor, lock string) (identity.Principal, error) {
	var u identity.User
	var authTime time.Time
	found, err := t.get(append(userDest(&u), timeColumn{&authTime}), "SELECT "+userColumns+", s.auth_time FROM "+userTables+`
		LEFT JOIN sessions s ON s.id = $2 AND s.user_id = u.id AND s.ended_at IS NULL WHERE u.id = $1`+lock, by.ID, by.SessionID)
	if err == nil && !found {
		err = identity.ErrNoUser
	}
	return u.Principal().SignedIn(authTime, t.now, t.privilegedMaxAge), err
}

// Principal returns what policy knows of the actor now, ErrForbidden when it is
// not authenticated or was deleted. Other methods check again in their transaction.
func (s *Store) Principal(ctx context.Context, by identity.Actor) (p identity.Principal, err error) {
	err = s.read(ctx, func(t *tx) error {
		p, err = t.principal(by, unlocked)
		return err
	})
	return p, err
}

// manage reads the user that the actor wants to change, for update, and checks
// the permission.
func (t *tx) manage(by identity.Actor, targetID string) (identity.User, error) {
	return t.target(by, targetID, identity.MayManage)
}

// target reads the user that the actor wants to change, for update, and applies rule.
// An actor that administers nothing and does not ask for itself is refused before any
// lookup, so that it cannot learn which ids exist.
func (t *tx) target(
	by identity.Actor, targetID string, rule func(actor, target identity.Principal) error,
) (identity.User, error) {
	lock, self := t.forShare, targetID != "" && by.UserID() == targetID
	if self {
		lock = t.forUpdate // two transactions that upgrade a shared lock on one row deadlock
	}
	actor, err := t.principal(by, lock)
	if err != nil {
		return identity.User{}, err
	}
	if err := identity.MayAdminister(actor, actor.OrgID, "user"); err != nil && !self {
		return identity.User{}, err
	}
	target, err := t.user(targetID, t.forUpdate("u"))
	if err != nil {
		return identity.User{}, err
	}
	return target, rule(actor, target.Principal())
}

// changedKey writes the audit row of a change of signing keys, if the actor may
// change them; otherwise the transaction is rolled back.
func (t *tx) changedKey(act Act, kid string) error {
	if err := t.permit(act.By, identity.MayChangeKeys); err != nil {
		return err
	}
	if act.Action == identity.ActionKeyRefuse {
		return t.audit(act.Event(OutcomeRefused, kid, ""))
	}
	return t.done(act, kid, "")
}

// guard serializes the transactions that remove a superadmin. Under READ COMMITTED
// two could otherwise each count the other's.
func (t *tx) guard() error {
	n, err := t.exec("UPDATE settings SET value = value WHERE key = $1", settingGuard)
	if err == nil && n != 1 {
		return errors.New("the setting superadmin_guard is missing from the database; restore a backup")
	}
	return err
}

// spare refuses to remove the last active superadmin. The caller holds the guard.
func (t *tx) spare(u identity.User) error {
	if u.Role != identity.Superadmin || !identity.CanSignIn(u) {
		return nil
	}
	var others int
	_, err := t.get([]any{&others}, `SELECT COUNT(*) FROM users u JOIN organizations o ON o.id = u.org_id
		WHERE u.role = 'superadmin' AND u.status = 'active' AND o.status = 'active' AND u.id <> $1`, u.ID)
	if err == nil && others == 0 {
		return ErrLastSuperadmin
	}
	return err
}

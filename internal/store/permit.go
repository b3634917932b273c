package store

import (
	"errors"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// permit asks rule about the actor as the database knows them now. The operator
// and the server itself may do everything.
func (t *tx) permit(by identity.Actor, rule func(actor identity.User) error) error {
	if by.System {
		return nil
	}
	actor, err := t.actor(by, t.forShare())
	if err != nil {
		return err
	}
	return rule(actor)
}

// actor reads who asks. Whoever is not there any more may do nothing.
func (t *tx) actor(by identity.Actor, lock string) (identity.User, error) {
	actor, err := t.user(by.UserID, lock)
	if fault.KindOf(err) == fault.NotFound {
		return identity.User{}, identity.ErrForbidden
	}
	return actor, err
}

// manage reads the person that the actor wants to change, for update, and
// checks that they may. Somebody who administers nobody is refused before
// anything is looked up, so that they cannot learn which ids exist.
func (t *tx) manage(by identity.Actor, targetID string) (identity.User, error) {
	if by.System {
		return t.user(targetID, t.forUpdate("u"))
	}
	lock := t.forShare()
	if by.UserID == targetID {
		lock = t.forUpdate("u") // two who hold a row shared and then want it alone wait for each other
	}
	actor, err := t.actor(by, lock)
	if err != nil {
		return identity.User{}, err
	}
	if err := identity.MayAdminister(actor, actor.OrgID, "user"); err != nil {
		return identity.User{}, err
	}
	target, err := t.user(targetID, t.forUpdate("u"))
	if err != nil {
		return identity.User{}, err
	}
	return target, identity.MayManage(actor, target)
}

// homeOrg is the organisation of new things for which none is named: the
// actor's own.
func (t *tx) homeOrg(by identity.Actor, orgID string) (string, error) {
	if orgID != "" {
		return orgID, nil
	}
	if by.System {
		return identity.DefaultOrg, nil
	}
	actor, err := t.actor(by, t.forShare())
	return actor.OrgID, err
}

// ensureOrg makes the organisation where it is missing. The caller has checked
// that the actor may administer it, which for one that does not exist only a
// superadmin may.
func (t *tx) ensureOrg(orgID string) error {
	_, err := t.exec("INSERT INTO organizations (id, status, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
		orgID, string(identity.Active), t.stamp())
	return err
}

// guard lets one act at a time take a superadmin away. Under READ COMMITTED two
// could otherwise each see the other's.
func (t *tx) guard() error {
	n, err := t.exec("UPDATE settings SET value = value WHERE key = $1", settingGuard)
	if err == nil && n != 1 {
		return errors.New("the guard of the last superadmin is gone")
	}
	return err
}

// spare refuses to take away the last active superadmin. The guard is held.
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

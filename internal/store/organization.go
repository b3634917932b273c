package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// A row without a name was made by the previous release, by an adoption, or for its
// first user: its name is its id.
const organizationColumns = "o.id, CASE WHEN o.name = '' THEN o.id ELSE o.name END, o.status, o.created_at"

var (
	errOrganizationExists  = fault.New(fault.Conflict, "organization_exists", "an organization of this id exists")
	errDefaultOrganization = fault.New(fault.Conflict, "default_organization", "the default organization cannot be deleted")
)

func scanOrganization(r scanner) (o identity.Organization, err error) {
	err = r.Scan(&o.ID, &o.Name, (*string)(&o.Status), timeColumn{&o.CreatedAt})
	return o, err
}

func (t *tx) organization(id, lock string) (identity.Organization, error) {
	found, err := collect(t, scanOrganization, "SELECT "+organizationColumns+" FROM organizations o WHERE o.id = $1"+lock, id)
	if err == nil && len(found) == 0 {
		return identity.Organization{}, identity.ErrNoOrganization
	}
	if err != nil {
		return identity.Organization{}, err
	}
	return found[0], nil
}

// ensureOrg makes the organization if it does not exist, and keeps it as it is until
// the commit: neither its deletion nor its suspension runs concurrently. The caller
// has checked that the actor may administer it; for one that does not exist only a
// superadmin may.
func (t *tx) ensureOrg(act Act, orgID string) error {
	for {
		n, err := t.exec("INSERT INTO organizations (id, status, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
			orgID, string(identity.Active), t.stamp())
		if err == nil && n == 1 {
			act.Action, act.Detail = identity.ActionCreateOrganization, ""
			return t.done(act, orgID, orgID)
		}
		if err != nil || !t.locks {
			return err
		}
		_, err = t.organization(orgID, t.forShare("o"))
		if fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
}

// InsertOrganization stores an organization. A used id is a Conflict
// "organization_exists". An empty one is filled in.
func (s *Store) InsertOrganization(ctx context.Context, act Act, o identity.Organization) (stored identity.Organization, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := t.permit(act.By, identity.MayManageOrganizations); err != nil {
			return err
		}
		stored = o
		if stored.ID == "" {
			stored.ID = NewID()
		}
		stored.Status, stored.CreatedAt = identity.Active, t.now
		n, err := t.exec("INSERT INTO organizations (id, name, status, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
			stored.ID, stored.Name, string(stored.Status), t.stamp())
		if err != nil {
			return err
		}
		if n == 0 {
			return errOrganizationExists
		}
		return t.done(act, stored.ID, stored.ID)
	})
	return stored, err
}

// Organization returns an organization that the actor administers.
func (s *Store) Organization(ctx context.Context, by identity.Actor, id string) (o identity.Organization, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		err := t.permit(by, func(actor identity.Principal) error { return identity.MayAdminister(actor, id, "organization") })
		if err == nil {
			o, err = t.organization(id, "")
		}
		return err
	})
	return o, err
}

// Organizations lists the organizations that the actor administers.
func (s *Store) Organizations(ctx context.Context, by identity.Actor, f ListFilter) (p Page[identity.Organization], err error) {
	err = s.listing(ctx, func(t *tx) error {
		l := list[identity.Organization]{
			columns: organizationColumns, from: "organizations o", alias: "o", scan: scanOrganization,
			key: func(o identity.Organization) (time.Time, string) { return o.CreatedAt, o.ID },
		}
		of, err := t.listed(by, f.OrgID, "organization")
		if err != nil {
			return err
		}
		l.within("o.id", of)
		p, err = l.page(t, f)
		return err
	})
	return p, err
}

// UpdateOrganization changes the name and the status; nil leaves one as it is. A
// suspension ends all sessions of the organization's users, and its service tokens
// are refused while it lasts.
func (s *Store) UpdateOrganization(ctx context.Context, act Act, id string, name *string, status *identity.Status) (o identity.Organization, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := t.guard(); err != nil {
			return err
		}
		actor, err := t.principal(act.By, t.forShare)
		if err != nil {
			return err
		}
		if err := identity.MayManageOrganizations(actor); err != nil {
			return err
		}
		if o, err = t.organization(id, t.forUpdate("o")); err != nil {
			return err
		}
		if name != nil && *name != o.Name {
			o.Name = *name
			if _, err := t.exec("UPDATE organizations SET name = $1 WHERE id = $2", o.Name, o.ID); err != nil {
				return err
			}
		}
		if status != nil && *status != o.Status {
			o.Status = *status
			if err := t.setOrganizationStatus(actor, o); err != nil {
				return err
			}
		}
		return t.done(act, o.ID, o.ID)
	})
	return o, err
}

// setOrganizationStatus stores the status of o. A suspension locks the row of every
// user of the organization, so that each session that starts concurrently is either
// ended or refused; with a hundred thousand users that takes seconds.
func (t *tx) setOrganizationStatus(actor identity.Principal, o identity.Organization) error {
	if o.Status != identity.Active {
		if err := t.spareOrganization(actor, o.ID); err != nil {
			return err
		}
	}
	if _, err := t.exec("UPDATE organizations SET status = $1 WHERE id = $2", string(o.Status), o.ID); err != nil {
		return err
	}
	if o.Status == identity.Active {
		return nil
	}
	if err := t.lock("users", "u", "u.org_id = $1", o.ID); err != nil { // before clients, as each grant locks them
		return err
	}
	// Its clients are suspended with it; what they hold is not revived later.
	if _, err := t.exec("UPDATE clients SET not_before = $1 WHERE org_id = $2", t.stamp(), o.ID); err != nil {
		return err
	}
	_, err := t.end(EndOrgSuspension, subjects{orgID: o.ID})
	return err
}

// spareOrganization refuses to suspend an organization whose superadmins the actor
// may not suspend, and one without which no active superadmin is left. The caller
// holds the guard.
func (t *tx) spareOrganization(actor identity.Principal, id string) error {
	var inside, outside int
	_, err := t.get([]any{&inside, &outside}, `SELECT COALESCE(SUM(CASE WHEN u.org_id = $1 THEN 1 ELSE 0 END), 0),
			COALESCE(SUM(CASE WHEN u.org_id <> $1 AND u.status = 'active' AND o.status = 'active' THEN 1 ELSE 0 END), 0)
		FROM users u JOIN organizations o ON o.id = u.org_id WHERE u.role = 'superadmin'`, id)
	switch {
	case err != nil || inside == 0:
		return err
	case outside == 0:
		return ErrLastSuperadmin
	default:
		return identity.MayManage(actor, identity.Principal{Kind: identity.ActorUser, Role: identity.Superadmin, OrgID: id})
	}
}

// DeleteOrganization removes an empty organization, together with its revoked
// service tokens; one that is not empty is a Conflict "organization_not_empty".
func (s *Store) DeleteOrganization(ctx context.Context, act Act, id string) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.permit(act.By, identity.MayManageOrganizations); err != nil {
			return err
		}
		o, err := t.organization(id, t.forUpdate("o"))
		if err != nil {
			return err
		}
		if o.ID == identity.DefaultOrg {
			return errDefaultOrganization
		}
		if err := t.empty(o.ID); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM service_tokens WHERE org_id = $1 AND revoked_at IS NOT NULL", o.ID); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM organizations WHERE id = $1", o.ID); err != nil {
			return err
		}
		return t.done(act, o.ID, o.ID)
	})
}

// empty refuses an organization that holds something, and says what.
func (t *tx) empty(id string) error {
	var users, groups, tokens, clients int
	_, err := t.get([]any{&users, &groups, &tokens, &clients}, `SELECT (SELECT COUNT(*) FROM users WHERE org_id = $1),
		(SELECT COUNT(*) FROM groups WHERE org_id = $1), (SELECT COUNT(*) FROM service_tokens WHERE org_id = $1 AND revoked_at IS NULL),
		(SELECT COUNT(*) FROM clients WHERE org_id = $1)`, id)
	if err != nil || users+groups+tokens+clients == 0 {
		return err
	}
	var held []string
	for _, h := range []struct {
		n    int
		what string
	}{{users, "user"}, {groups, "group"}, {tokens, "service token"}, {clients, "client"}} {
		switch {
		case h.n == 1:
			held = append(held, "1 "+h.what)
		case h.n > 1:
			held = append(held, fmt.Sprintf("%d %ss", h.n, h.what))
		}
	}
	return fault.New(fault.Conflict, "organization_not_empty", "the organization still has "+strings.Join(held, ", "))
}

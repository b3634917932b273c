package store

import (
	"cmp"
	"context"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

const groupColumns = "g.id, g.name, g.description, g.org_id, g.created_at, g.updated_at"

var (
	errNoMember          = fault.New(fault.NotFound, "not_found", "there is no such member in this group")
	errGroupExists       = fault.New(fault.Conflict, "group_exists", "the organization has a group of this name")
	errTooManyGroups     = fault.New(fault.Conflict, "too_many_groups", "the user is a member of as many groups as one user may be")
	errOtherOrganization = fault.New(fault.Invalid, "", "the user belongs to another organization than the group")
	errAlreadyMember     = fault.New(fault.Conflict, "already_member", "the user is a member of the group already")
)

func scanGroup(r scanner) (g identity.Group, err error) {
	err = r.Scan(&g.ID, &g.Name, &g.Description, &g.OrgID, timeColumn{&g.CreatedAt}, timeColumn{&g.UpdatedAt})
	return g, err
}

func (t *tx) group(id, lock string) (identity.Group, error) {
	groups, err := collect(t, scanGroup, "SELECT "+groupColumns+" FROM groups g WHERE g.id = $1"+lock, id)
	if err == nil && len(groups) == 0 {
		return identity.Group{}, identity.ErrNoGroup
	}
	if err != nil {
		return identity.Group{}, err
	}
	return groups[0], nil
}

// manageGroup reads a group that the actor wants to change, and checks that
// it may; an actor that administers nothing learns nothing.
func (t *tx) manageGroup(by identity.Actor, id string) (identity.Group, error) {
	actor, err := t.principal(by, t.forShare)
	if err != nil {
		return identity.Group{}, err
	}
	if err := identity.MayAdminister(actor, actor.OrgID, "group"); err != nil {
		return identity.Group{}, err
	}
	g, err := t.group(id, t.forUpdate("g"))
	if err == nil {
		err = identity.MayAdminister(actor, g.OrgID, "group")
	}
	return g, err
}

// InsertGroup stores a group in g.OrgID, empty: the actor's own, and returns it
// as stored. A used name is a Conflict "group_exists".
func (s *Store) InsertGroup(ctx context.Context, act Act, g identity.Group) (stored identity.Group, err error) {
	err = s.write(ctx, func(t *tx) error {
		actor, err := t.principal(act.By, t.forShare)
		if err != nil {
			return err
		}
		stored = g
		stored.OrgID = cmp.Or(g.OrgID, actor.OrgID)
		if err := identity.MayAdminister(actor, stored.OrgID, "organization"); err != nil {
			return err
		}
		if err := t.ensureOrg(act, stored.OrgID); err != nil {
			return err
		}
		if stored.ID == "" {
			stored.ID = NewID()
		}
		stored.CreatedAt, stored.UpdatedAt = t.now, t.now
		_, err = t.exec(`INSERT INTO groups (id, name, name_key, description, org_id, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $6)`,
			stored.ID, stored.Name, identity.GroupKey(stored.Name), stored.Description, stored.OrgID, t.stamp())
		if engine.Violates(err, "groups.org_id") {
			return errGroupExists
		}
		if err != nil {
			return err
		}
		return t.done(act, stored.ID, stored.OrgID)
	})
	return stored, err
}

// Group returns a group that the actor may see and its members, first joined
// first. With ownOnly, one who sees only their own groups does not find another one.
func (s *Store) Group(
	ctx context.Context, by identity.Actor, id string, ownOnly bool,
) (g identity.Group, members []identity.Member, err error) {
	err = s.listing(ctx, func(t *tx) error {
		if g, err = t.group(id, ""); err != nil {
			return err
		}
		var hidden bool
		err := t.permit(by, func(actor identity.Principal) error {
			hidden = ownOnly && identity.SeesOwnGroupsOnly(actor)
			return identity.MaySee(actor, g.OrgID, "group")
		})
		if err != nil {
			return err
		}
		if hidden {
			var one int
			member, err := t.get([]any{&one}, "SELECT 1 FROM group_members WHERE group_id = $1 AND user_id = $2", g.ID, by.UserID())
			if err != nil {
				return err
			}
			if !member {
				return identity.ErrNoGroup
			}
		}
		members, err = collect(t, func(r scanner) (m identity.Member, err error) {
			err = r.Scan(&m.UserID, timeColumn{&m.JoinedAt})
			return m, err
		}, "SELECT user_id, joined_at FROM group_members WHERE group_id = $1 ORDER BY joined_at, user_id", g.ID)
		return err
	})
	return g, members, err
}

// Groups lists the groups of f.OrgID, empty: the actor's own organization (for
// the system actor all of them). Every user that may sign in sees the groups of
// their own organization, unless f.Members narrows that.
func (s *Store) Groups(ctx context.Context, by identity.Actor, f ListFilter) (p Page[identity.Group], err error) {
	err = s.listing(ctx, func(t *tx) error {
		l := list[identity.Group]{
			columns: groupColumns, from: "groups g", alias: "g", scan: scanGroup,
			key: func(g identity.Group) (time.Time, string) { return g.CreatedAt, g.ID },
		}
		of := scope{org: f.OrgID, all: f.OrgID == ""}
		err := t.permit(by, func(actor identity.Principal) error {
			if of.all && actor.Kind != identity.ActorSystem {
				of = scope{org: actor.OrgID}
			}
			if f.Members && identity.SeesOwnGroupsOnly(actor) {
				l.from += " JOIN group_members m ON m.group_id = g.id"
				l.only("m.user_id", by.UserID())
			}
			return identity.MaySee(actor, of.org, "group")
		})
		if err != nil {
			return err
		}
		l.within("g.org_id", of)
		p, err = l.page(t, f)
		return err
	})
	return p, err
}

// UpdateGroup changes a group's name and description; nil leaves one as it is.
func (s *Store) UpdateGroup(ctx context.Context, act Act, id string, name, description *string) (g identity.Group, err error) {
	err = s.write(ctx, func(t *tx) error {
		if g, err = t.manageGroup(act.By, id); err != nil {
			return err
		}
		if name != nil {
			g.Name = *name
		}
		if description != nil {
			g.Description = *description
		}
		g.UpdatedAt = t.now
		_, err := t.exec("UPDATE groups SET name = $1, name_key = $2, description = $3, updated_at = $4 WHERE id = $5",
			g.Name, identity.GroupKey(g.Name), g.Description, t.stamp(), g.ID)
		if engine.Violates(err, "groups.org_id") {
			return errGroupExists
		}
		if err != nil {
			return err
		}
		return t.done(act, g.ID, g.OrgID)
	})
	return g, err
}

// DeleteGroup removes a group and its memberships.
func (s *Store) DeleteGroup(ctx context.Context, act Act, id string) error {
	return s.write(ctx, func(t *tx) error {
		g, err := t.manageGroup(act.By, id)
		if err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM groups WHERE id = $1", g.ID); err != nil {
			return err
		}
		return t.done(act, g.ID, g.OrgID)
	})
}

// MaxGroups bounds the groups of one user, which each refresh reads. A token names as
// many as fit.
const MaxGroups = 1000

// AddMember puts a user into a group of their own organization; a user of another
// one is not found, and named only to the command line. A user who is a member already
// is a Conflict "already_member", more than MaxGroups groups of one user are a Conflict "too_many_groups".
func (s *Store) AddMember(ctx context.Context, act Act, groupID, userID string) error {
	return s.write(ctx, func(t *tx) error {
		g, err := t.manageGroup(act.By, groupID)
		if err != nil {
			return err
		}
		u, err := t.user(userID, t.forShare("u"))
		if err != nil {
			return err
		}
		switch {
		case u.OrgID == g.OrgID:
		case act.By.Kind == identity.ActorSystem:
			return errOtherOrganization
		default:
			return identity.ErrNoUser
		}
		// Two transactions would otherwise count the same groups. The lock of the
		// user's row does not prevent that: actors hold theirs shared, so several
		// requests by which an actor joins groups would deadlock.
		if err := t.alone("groups of " + u.ID); err != nil {
			return err
		}
		_, err = t.exec("INSERT INTO group_members (group_id, user_id, joined_at) VALUES ($1, $2, $3)", g.ID, u.ID, t.stamp())
		if engine.ConditionOf(err) == engine.Unique {
			return errAlreadyMember
		}
		if err != nil {
			return err
		}
		groups, err := t.groupIDs(u.ID)
		if err != nil {
			return err
		}
		if len(groups) > MaxGroups {
			return errTooManyGroups
		}
		return t.done(act, u.ID, g.OrgID)
	})
}

// RemoveMember takes a user out of a group, NotFound when they are not in it.
func (s *Store) RemoveMember(ctx context.Context, act Act, groupID, userID string) error {
	return s.write(ctx, func(t *tx) error {
		g, err := t.manageGroup(act.By, groupID)
		if err != nil {
			return err
		}
		n, err := t.exec("DELETE FROM group_members WHERE group_id = $1 AND user_id = $2", g.ID, userID)
		if err != nil {
			return err
		}
		if n == 0 {
			return errNoMember
		}
		return t.done(act, userID, g.OrgID)
	})
}

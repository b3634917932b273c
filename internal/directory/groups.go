package directory

import (
	"context"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// NewGroup describes a new group.
type NewGroup struct {
	Name        string // unique within its organization
	Description string // optional
	OrgID       string // empty: the organization of the actor; a superadmin may name another
}

// CreateGroup makes a group without members. A name that the organization
// already uses is a Conflict, group_exists.
func (d *Directory) CreateGroup(ctx context.Context, by identity.Actor, n NewGroup) (identity.Group, error) {
	err := fault.Gather(
		identity.ValidateName(n.Name),
		identity.ValidateDescription(n.Description),
		identity.ValidateOrgID(n.OrgID),
	)
	if err != nil {
		return identity.Group{}, err
	}
	if err := d.throttle.Change(ctx, by); err != nil {
		return identity.Group{}, err
	}
	act := store.Act{Action: identity.ActionCreateGroup, By: by}
	g, err := d.store.InsertGroup(ctx, act, identity.Group{Name: n.Name, Description: n.Description, OrgID: n.OrgID})
	if err := d.ended(ctx, act, "", err); err != nil {
		return identity.Group{}, err
	}
	return g, nil
}

// Group returns a group of the actor's organization and its members. Where groups are
// visible to their members only, another one does not exist for a viewer.
func (d *Directory) Group(ctx context.Context, by identity.Actor, id string) (identity.Group, []identity.Member, error) {
	if !identity.ValidID(id) {
		return identity.Group{}, nil, identity.ErrNoGroup
	}
	g, members, err := d.store.Group(ctx, by, id, d.groupsOfMembers)
	if err != nil {
		return identity.Group{}, nil, fmt.Errorf("read group: %w", err)
	}
	return g, members, nil
}

// Groups lists the groups of the actor's organization.
func (d *Directory) Groups(ctx context.Context, by identity.Actor, f Filter) (Page[identity.Group], error) {
	filter, none, err := f.forStore()
	if err != nil || none {
		return Page[identity.Group]{Items: []identity.Group{}}, err
	}
	filter.Members = d.groupsOfMembers
	page, err := d.store.Groups(ctx, by, filter)
	if err != nil {
		return Page[identity.Group]{}, fmt.Errorf("list groups: %w", err)
	}
	return page, nil
}

// UpdateGroup changes the fields that are not nil.
func (d *Directory) UpdateGroup(
	ctx context.Context, by identity.Actor, id string, name, description *string,
) (identity.Group, error) {
	var badName, badDescription error
	if name != nil {
		badName = identity.ValidateName(*name)
	}
	if description != nil {
		badDescription = identity.ValidateDescription(*description)
	}
	if err := fault.Gather(badName, badDescription); err != nil {
		return identity.Group{}, err
	}
	if !identity.ValidID(id) {
		return identity.Group{}, identity.ErrNoGroup
	}
	if err := d.throttle.Change(ctx, by); err != nil {
		return identity.Group{}, err
	}
	act := store.Act{Action: identity.ActionUpdateGroup, By: by}
	g, err := d.store.UpdateGroup(ctx, act, id, name, description)
	if err := d.ended(ctx, act, id, err); err != nil {
		return identity.Group{}, err
	}
	return g, nil
}

// DeleteGroup removes a group and its memberships.
func (d *Directory) DeleteGroup(ctx context.Context, by identity.Actor, id string) error {
	if !identity.ValidID(id) {
		return identity.ErrNoGroup
	}
	if err := d.throttle.Change(ctx, by); err != nil {
		return err
	}
	act := store.Act{Action: identity.ActionDeleteGroup, By: by}
	return d.ended(ctx, act, id, d.store.DeleteGroup(ctx, act, id))
}

// AddMember puts a user into a group of the same organization. Their next access
// token names the group. A user who is a member already is a Conflict,
// already_member.
func (d *Directory) AddMember(ctx context.Context, by identity.Actor, groupID, userID string) error {
	if !identity.ValidID(groupID) {
		return identity.ErrNoGroup
	}
	if !identity.ValidID(userID) {
		return identity.ErrNoUser
	}
	if err := d.throttle.Change(ctx, by); err != nil {
		return err
	}
	act := store.Act{Action: identity.ActionAddMember, By: by, Detail: "group " + groupID}
	return d.ended(ctx, act, userID, d.store.AddMember(ctx, act, groupID, userID))
}

// RemoveMember takes a user out of a group.
func (d *Directory) RemoveMember(ctx context.Context, by identity.Actor, groupID, userID string) error {
	if !identity.ValidID(groupID) || !identity.ValidID(userID) {
		return identity.ErrNoGroup
	}
	if err := d.throttle.Change(ctx, by); err != nil {
		return err
	}
	act := store.Act{Action: identity.ActionRemoveMember, By: by, Detail: "group " + groupID}
	return d.ended(ctx, act, userID, d.store.RemoveMember(ctx, act, groupID, userID))
}

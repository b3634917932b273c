package directory

import (
	"context"
	"fmt"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

var errRegistrationOrg = fault.New(fault.Conflict, "registration_organization",
	"users who register belong to this organization; set auth.registration_org to another one first")

// NewOrganization describes a new organization.
type NewOrganization struct {
	ID   string // empty: a new one
	Name string
}

// OrganizationChange has the fields of an organization to change; nil leaves one as
// it is.
type OrganizationChange struct {
	Name   *string
	Status *string
}

// CreateOrganization makes an empty organization. An id that is in use is a
// Conflict, organization_exists. Superadmins only.
func (d *Directory) CreateOrganization(ctx context.Context, by identity.Actor, n NewOrganization) (identity.Organization, error) {
	if err := fault.Gather(identity.ValidateNewOrganization(n.ID), identity.ValidateName(n.Name)); err != nil {
		return identity.Organization{}, err
	}
	act := store.Act{Action: identity.ActionCreateOrganization, By: by}
	o, err := d.store.InsertOrganization(ctx, act, identity.Organization{ID: n.ID, Name: n.Name})
	if err := d.ended(ctx, act, n.ID, err); err != nil {
		return identity.Organization{}, err
	}
	return o, nil
}

// Organization returns an organization that the actor administers.
func (d *Directory) Organization(ctx context.Context, by identity.Actor, id string) (identity.Organization, error) {
	if !identity.ValidID(id) {
		return identity.Organization{}, identity.ErrNoOrganization
	}
	o, err := d.store.Organization(ctx, by, id)
	if err != nil {
		return identity.Organization{}, fmt.Errorf("read organization: %w", err)
	}
	return o, nil
}

// Organizations lists the organizations that the actor administers, first created
// first: all of them for a superadmin, the own one for an org_admin.
func (d *Directory) Organizations(ctx context.Context, by identity.Actor, f Filter) (Page[identity.Organization], error) {
	filter, none, err := f.forStore()
	if err != nil || none {
		return Page[identity.Organization]{Items: []identity.Organization{}}, err
	}
	page, err := d.store.Organizations(ctx, by, filter)
	if err != nil {
		return Page[identity.Organization]{}, fmt.Errorf("list organizations: %w", err)
	}
	return page, nil
}

// UpdateOrganization renames, suspends or activates an organization. A suspension
// ends the sessions of its users and stops its service tokens; activation revives no
// session. The organization of the last active superadmin cannot be suspended.
// Superadmins only.
func (d *Directory) UpdateOrganization(ctx context.Context, by identity.Actor, id string, c OrganizationChange) (identity.Organization, error) {
	var badName, badStatus error
	var status *identity.Status
	var changes []string
	if c.Name != nil {
		badName = identity.ValidateName(*c.Name)
		changes = append(changes, "name")
	}
	if c.Status != nil {
		if status = (*identity.Status)(c.Status); !status.Valid() {
			badStatus = fault.BadField("status", "status must be one of active, suspended")
		}
		changes = append(changes, "status "+*c.Status)
	}
	if err := fault.Gather(badName, badStatus); err != nil {
		return identity.Organization{}, err
	}
	if !identity.ValidID(id) {
		return identity.Organization{}, identity.ErrNoOrganization
	}
	act := store.Act{Action: identity.ActionUpdateOrganization, By: by, Detail: strings.Join(changes, ", ")}
	o, err := d.store.UpdateOrganization(ctx, act, id, c.Name, status)
	if err := d.ended(ctx, act, id, err); err != nil {
		return identity.Organization{}, err
	}
	return o, nil
}

// DeleteOrganization removes an organization without users, groups, clients and service
// tokens. Superadmins only.
func (d *Directory) DeleteOrganization(ctx context.Context, by identity.Actor, id string) error {
	if !identity.ValidID(id) {
		return identity.ErrNoOrganization
	}
	act := store.Act{Action: identity.ActionDeleteOrganization, By: by}
	if id == d.registrationOrg && id != identity.DefaultOrg {
		if _, err := d.administrator(ctx, by); err != nil {
			return d.ended(ctx, act, id, err)
		}
		return errRegistrationOrg
	}
	return d.ended(ctx, act, id, d.store.DeleteOrganization(ctx, act, id))
}

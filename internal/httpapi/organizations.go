package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/web"
)

const tagOrganizations = "organizations"

func (a *API) organizationRoutes() []route {
	return []route{
		{
			Route: at(http.MethodPost, "/api/v1/organizations", "create_organization", web.Superadmin, web.Bearer),
			Tag:   tagOrganizations, Summary: "Create an organization",
			Description: "Empty and active. Naming an unknown `org_id` for a new user, group or service token creates one, too.",
			body:        jsonBody, created: true, typed: endpoint(a, a.createOrganization),
			refusals: map[int]string{409: "`organization_exists`: the id is in use"},
		},
		{
			Route: at(http.MethodGet, "/api/v1/organizations", "list_organizations", web.OrgAdmin, web.Bearer),
			Tag:   tagOrganizations, Summary: "List the organizations",
			Description: "All of them for a superadmin, the own one for an org_admin.",
			query:       []string{"limit", "cursor"}, typed: endpoint(a, a.listOrganizations),
		},
		{
			Route: at(http.MethodGet, "/api/v1/organizations/{id}", "get_organization", web.OrgAdmin, web.Bearer),
			Tag:   tagOrganizations, Summary: "Show an organization",
			Description: "Another one than the own is not found, except by a superadmin.",
			typed:       endpoint(a, a.getOrganization),
		},
		{
			Route: at(http.MethodPatch, "/api/v1/organizations/{id}", "update_organization", web.Superadmin, web.Bearer),
			Tag:   tagOrganizations, Summary: "Rename, suspend or activate an organization",
			Description: "Absent fields stay unchanged. A suspension ends the sessions of all its users, and its service tokens are refused while it lasts; activation revives no session.",
			body:        jsonBody, typed: endpoint(a, a.updateOrganization),
			refusals: map[int]string{409: "`last_superadmin`: no active superadmin would be left"},
		},
		{
			Route: at(http.MethodDelete, "/api/v1/organizations/{id}", "delete_organization", web.Superadmin, web.Bearer),
			Tag:   tagOrganizations, Summary: "Delete an empty organization",
			Description: "Refused while it has users, groups, service tokens or clients.",
			typed:       endpoint(a, a.deleteOrganization),
			refusals:    map[int]string{409: "`organization_not_empty`: it has users, groups, service tokens or clients; `default_organization`, `registration_organization`: it is needed"},
		},
	}
}

// OrganizationCreation describes a new organization.
type OrganizationCreation struct {
	ID   string `json:"id,omitempty" maxLength:"36" doc:"Default: a new one. It never changes." example:"acme"`
	Name string `json:"name" minLength:"1" maxLength:"255" example:"Acme Inc."`
}

// OrganizationChange has the fields of an organization to change.
type OrganizationChange struct {
	Name   *string `json:"name,omitempty" minLength:"1" maxLength:"255" example:"Acme Inc."`
	Status *string `json:"status,omitempty" enum:"active,suspended" example:"suspended"`
}

// Organization is an organization.
type Organization struct {
	ID        string          `json:"id" example:"acme"`
	Name      string          `json:"name" example:"Acme Inc."`
	Status    identity.Status `json:"status" enum:"active,suspended" example:"active"`
	CreatedAt time.Time       `json:"created_at" example:"2026-11-22T10:15:30.123456Z"`
}

// OrganizationList is a list of organizations, oldest first.
type OrganizationList struct {
	Organizations []Organization `json:"organizations" nullable:"false"`
	Total         int            `json:"total" doc:"Number of organizations on all pages." example:"1"`
	Next          string         `json:"next_cursor,omitempty" doc:"When there are more."`
}

// OrganizationID is the organization in the path.
type OrganizationID struct {
	ID string `path:"id" doc:"Id of the organization." example:"acme"`
}

func (a *API) createOrganization(ctx context.Context, by *caller, in *struct{ Body OrganizationCreation }) (Organization, error) {
	o, err := a.directory.CreateOrganization(ctx, by.actor, directory.NewOrganization{ID: in.Body.ID, Name: in.Body.Name})
	return organizationOf(o), err
}

func (a *API) listOrganizations(ctx context.Context, by *caller, in *Paging) (OrganizationList, error) {
	page, err := a.directory.Organizations(ctx, by.actor, directory.Filter{Limit: in.Limit, Cursor: in.Cursor})
	list := OrganizationList{Organizations: make([]Organization, 0, len(page.Items)), Total: page.Total, Next: page.Next}
	for _, o := range page.Items {
		list.Organizations = append(list.Organizations, organizationOf(o))
	}
	return list, err
}

func (a *API) getOrganization(ctx context.Context, by *caller, in *OrganizationID) (Organization, error) {
	o, err := a.directory.Organization(ctx, by.actor, in.ID)
	return organizationOf(o), err
}

type updateOrganizationInput struct {
	OrganizationID
	Body OrganizationChange
}

func (a *API) updateOrganization(ctx context.Context, by *caller, in *updateOrganizationInput) (Organization, error) {
	o, err := a.directory.UpdateOrganization(ctx, by.actor, in.ID,
		directory.OrganizationChange{Name: in.Body.Name, Status: in.Body.Status})
	return organizationOf(o), err
}

func (a *API) deleteOrganization(ctx context.Context, by *caller, in *OrganizationID) (Message, error) {
	return Message{"Organization deleted"}, a.directory.DeleteOrganization(ctx, by.actor, in.ID)
}

func organizationOf(o identity.Organization) Organization {
	return Organization{ID: o.ID, Name: o.Name, Status: o.Status, CreatedAt: o.CreatedAt.UTC()}
}

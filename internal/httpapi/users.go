package httpapi

import (
	"context"
	"net/http"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/web"
)

const tagPeople = "people"

func (a *API) peopleRoutes() []route {
	const lastSuperadmin = "`last_superadmin`: the last active superadmin must stay one"
	return []route{
		{
			Route: at(http.MethodGet, "/api/v1/auth/users", "list_users", web.OrgAdmin, web.Bearer),
			Tag:   tagPeople, Summary: "List people",
			Description: "The people of the own organisation; for a superadmin those of every organisation, or of the one in `org_id`. `email` finds one.",
			query:       []string{"limit", "cursor", "org_id", "email"}, typed: endpoint(a, a.listUsers),
			refusals: map[int]string{404: otherOrg},
		},
		{
			Route: at(http.MethodPost, "/api/v1/auth/users", "create_user", web.OrgAdmin, web.Bearer),
			Tag:   tagPeople, Summary: "Create a person",
			Description: "Works while registration is off, too. Nobody can give a role above their own. Only a superadmin may name another organisation; one that does not exist yet begins to.",
			body:        jsonBody, typed: endpoint(a, a.createUser),
			refusals: map[int]string{404: otherOrg, 409: emailTaken, 429: busy},
		},
		{
			Route: at(http.MethodGet, "/api/v1/auth/users/registration", "get_registration", web.OrgAdmin, web.Bearer),
			Tag:   tagPeople, Summary: "May strangers register",
			Description: "Whether `POST /api/v1/auth/register` is open.",
			typed:       endpoint(a, a.getRegistration),
		},
		{
			Route: at(http.MethodPut, "/api/v1/auth/users/registration", "set_registration", web.Superadmin, web.Bearer),
			Tag:   tagPeople, Summary: "Open or close registration",
			Description: "Is kept over restarts. When the server's configuration switches registration off, it stays off, and the answer says so.",
			body:        jsonBody, typed: endpoint(a, a.setRegistration),
		},
		{
			Route: at(http.MethodPut, "/api/v1/auth/users/{id}/role", "set_role", web.OrgAdmin, web.Bearer),
			Tag:   tagPeople, Summary: "Give a person another role",
			Description: "Ends their sessions when the role changes. Nobody can give a role above their own, nor change somebody who has one.",
			body:        jsonBody, bare: "role", refusals: map[int]string{409: lastSuperadmin}, typed: endpoint(a, a.setRole),
		},
		{
			Route: at(http.MethodPut, "/api/v1/auth/users/{id}/status", "set_status", web.OrgAdmin, web.Bearer),
			Tag:   tagPeople, Summary: "Suspend or activate a person",
			Description: "Suspension ends their sessions, and their access tokens are refused here at once.",
			body:        jsonBody, refusals: map[int]string{409: lastSuperadmin}, typed: endpoint(a, a.setStatus),
		},
		{
			Route: at(http.MethodPut, "/api/v1/auth/users/{id}/password", "reset_password", web.OrgAdmin, web.Bearer),
			Tag:   tagPeople, Summary: "Reset a person's password",
			Description: "Ends their sessions.",
			body:        jsonBody, refusals: map[int]string{429: busy}, typed: endpoint(a, a.resetPassword),
		},
		{
			Route: at(http.MethodDelete, "/api/v1/auth/users/{id}", "delete_user", web.OrgAdmin, web.Bearer),
			Tag:   tagPeople, Summary: "Delete a person",
			Description: "Ends their sessions and memberships.",
			refusals:    map[int]string{409: lastSuperadmin}, typed: endpoint(a, a.deleteUser),
		},
	}
}

// Paging is the part of a list that is asked for.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" doc:"Length of a page. Without it, and without cursor, everything is listed, up to 1000."`
	Cursor string `query:"cursor" maxLength:"512" doc:"The next_cursor of the page before."`
}

// next is the cursor to show: only to those who asked for pages.
func (p Paging) next(cursor string) string {
	if p.Limit == 0 && p.Cursor == "" {
		return ""
	}
	return cursor
}

// UserFilter narrows the list of people.
type UserFilter struct {
	Paging
	OrgID string `query:"org_id" doc:"Only this organisation. One that is not the own is not found, except by a superadmin."`
	Email string `query:"email" minLength:"1" doc:"Only the person with this e-mail."`
}

// User is a person, as administrators see them.
type User struct {
	ID          string          `json:"id" example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
	Email       string          `json:"email" example:"ada@example.com"`
	DisplayName string          `json:"display_name" example:"Ada Lovelace"`
	Role        identity.Role   `json:"role" enum:"viewer,operator,org_admin,superadmin" example:"viewer"`
	OrgID       string          `json:"org_id" example:"default"`
	Status      identity.Status `json:"status" enum:"active,suspended" example:"active"`
}

// UserList is a list of people, oldest first.
type UserList struct {
	Users []User `json:"users" nullable:"false"`
	Total int    `json:"total" doc:"How many there are on all pages." example:"1"`
	Next  string `json:"next_cursor,omitempty" doc:"When pages were asked for and there is another one."`
}

// UserCreation is a person to be.
type UserCreation struct {
	Registration
	Role  string `json:"role,omitempty" enum:"viewer,operator,org_admin,superadmin" doc:"Without it: viewer." example:"operator"`
	OrgID string `json:"org_id,omitempty" maxLength:"36" doc:"Without it: the own organisation." example:"default"`
}

// RegistrationSwitch is the switch as it is set.
type RegistrationSwitch struct {
	Enabled bool `json:"enabled" example:"false"`
}

// RegistrationState is the switch as it works.
type RegistrationState struct {
	Enabled bool `json:"registration_enabled" example:"false"`
}

// RoleRequest is a person's role to be.
type RoleRequest struct {
	Role string `json:"role" enum:"viewer,operator,org_admin,superadmin" example:"operator"`
}

// StatusRequest is a person's status to be.
type StatusRequest struct {
	Status string `json:"status" enum:"active,suspended" example:"suspended"`
}

// PasswordReset is a person's password to be.
type PasswordReset struct {
	New string `json:"new_password" format:"password" doc:"At most 72 bytes in UTF-8." example:"staple the other horse"`
}

// ChangedRole is a person and their role.
type ChangedRole struct {
	ID    string        `json:"id" example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
	Email string        `json:"email" example:"ada@example.com"`
	Role  identity.Role `json:"role" enum:"viewer,operator,org_admin,superadmin" example:"operator"`
}

// ChangedStatus is a person and their status.
type ChangedStatus struct {
	ID     string          `json:"id" example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
	Email  string          `json:"email" example:"ada@example.com"`
	Status identity.Status `json:"status" enum:"active,suspended" example:"suspended"`
}

// UserID is the person a path names.
type UserID struct {
	ID string `path:"id" doc:"Id of the person." example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
}

func (a *API) listUsers(ctx context.Context, who caller, in *UserFilter) (UserList, error) {
	page, err := a.directory.Users(ctx, who.actor,
		directory.Filter{OrgID: in.OrgID, Email: in.Email, Limit: in.Limit, Cursor: in.Cursor})
	list := UserList{Users: make([]User, 0, len(page.Items)), Total: page.Total, Next: in.next(page.Next)}
	for _, u := range page.Items {
		list.Users = append(list.Users, User{
			ID: u.ID, Email: u.Email, DisplayName: u.DisplayName, Role: u.Role, OrgID: u.OrgID, Status: u.Status,
		})
	}
	return list, err
}

func (a *API) createUser(ctx context.Context, who caller, in *struct{ Body UserCreation }) (Account, error) {
	user, err := a.directory.CreateUser(ctx, who.actor, directory.NewUser{
		Email: in.Body.Email, Password: in.Body.Password, DisplayName: in.Body.DisplayName,
		Role: in.Body.Role, OrgID: in.Body.OrgID,
	})
	return accountOf(user), err
}

func (a *API) getRegistration(ctx context.Context, _ caller, _ *struct{}) (RegistrationState, error) {
	enabled, err := a.directory.Registration(ctx)
	return RegistrationState{enabled}, err
}

func (a *API) setRegistration(
	ctx context.Context, who caller, in *struct{ Body RegistrationSwitch },
) (RegistrationState, error) {
	enabled, err := a.directory.SetRegistration(ctx, who.actor, in.Body.Enabled)
	return RegistrationState{enabled}, err
}

type setRoleInput struct {
	UserID
	Body RoleRequest
}

func (a *API) setRole(ctx context.Context, who caller, in *setRoleInput) (ChangedRole, error) {
	u, err := a.directory.SetRole(ctx, who.actor, in.ID, in.Body.Role)
	return ChangedRole{ID: u.ID, Email: u.Email, Role: u.Role}, err
}

type setStatusInput struct {
	UserID
	Body StatusRequest
}

func (a *API) setStatus(ctx context.Context, who caller, in *setStatusInput) (ChangedStatus, error) {
	u, err := a.directory.SetStatus(ctx, who.actor, in.ID, in.Body.Status)
	return ChangedStatus{ID: u.ID, Email: u.Email, Status: u.Status}, err
}

type resetPasswordInput struct {
	UserID
	Body PasswordReset
}

func (a *API) resetPassword(ctx context.Context, who caller, in *resetPasswordInput) (Message, error) {
	return Message{"Password reset"}, a.directory.ResetPassword(ctx, who.actor, in.ID, in.Body.New)
}

func (a *API) deleteUser(ctx context.Context, who caller, in *UserID) (Message, error) {
	return Message{"User deleted"}, a.directory.Delete(ctx, who.actor, in.ID)
}

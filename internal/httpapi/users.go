package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/web"
)

const tagUsers = "users"

func (a *API) userRoutes() []route {
	const lastSuperadmin = "`last_superadmin`: the last active superadmin must stay one; `owns_service_tokens`: `errors` names them, decide with `service_tokens`"
	return []route{
		{
			Route: at(http.MethodGet, "/api/v1/auth/users", "list_users", web.OrgAdmin, web.Bearer),
			Tag:   tagUsers, Summary: "List users",
			Description: "The users of the own organization; for a superadmin those of every organization, or of the one in `org_id`. `email` finds one, and `q` all whose address or name begins with it: first those by address, then the others by name, unless `sort` says otherwise. A page begins after the last user of the previous one, so no user is listed twice or left out when others come and go.",
			query:       []string{"limit", "cursor", "org_id", "email", "q", "role", "status", "sort"}, typed: endpoint(a, a.listUsers),
			refusals: map[int]string{404: otherOrg},
		},
		{
			Route: at(http.MethodPost, "/api/v1/auth/users", "create_user", web.OrgAdmin, web.Bearer),
			Tag:   tagUsers, Summary: "Create a user",
			Description: "Works while registration is off, too. A role above the own one is refused. Only a superadmin may name another organization; one that does not exist is created.",
			hashes:      true, body: jsonBody, typed: endpoint(a, a.createUser),
			refusals: map[int]string{401: notRecent, 404: otherOrg, 409: emailTaken, 429: busy},
		},
		{
			Route: at(http.MethodGet, "/api/v1/auth/users/registration", "get_registration", web.OrgAdmin, web.Bearer),
			Tag:   tagUsers, Summary: "Show whether registration is open",
			Description: "Whether `POST /api/v1/auth/register` is open.",
			typed:       endpoint(a, a.getRegistration),
		},
		{
			Route: at(http.MethodPut, "/api/v1/auth/users/registration", "set_registration", web.Superadmin, web.Bearer),
			Tag:   tagUsers, Summary: "Open or close registration",
			Description: "The setting survives restarts. When the server's configuration switches registration off, or the organization of `auth.registration_org` is suspended, it stays off, and the response says so.",
			body:        jsonBody, typed: endpoint(a, a.setRegistration),
		},
		{
			Route: at(http.MethodGet, "/api/v1/auth/users/{id}", "get_user", web.OrgAdmin, web.Bearer),
			Tag:   tagUsers, Summary: "Show a user",
			Description: "A user of the own organization, for a superadmin of any.",
			typed:       endpoint(a, a.getUser),
		},
		{
			Route: at(http.MethodPatch, "/api/v1/auth/users/{id}", "update_user", web.OrgAdmin, web.Bearer),
			Tag:   tagUsers, Summary: "Change a user",
			Description: "Changes what is sent, and clears a field of the profile that is null. Another e-mail address needs a recent sign-in of the administrator and ends the sessions of the user, whose access tokens are refused at once. Another organization, which must exist, ends their sessions and memberships; only a superadmin moves users.",
			body:        jsonBody, refusals: map[int]string{401: notRecent, 409: emailTaken + "; " + lastSuperadmin}, typed: endpoint(a, a.updateUser),
		},
		{
			Route: at(http.MethodPut, "/api/v1/auth/users/{id}/role", "set_role", web.OrgAdmin, web.Bearer),
			Tag:   tagUsers, Summary: "Change a user's role",
			Description: "Ends their sessions when the role changes. A role above the own one can neither be given nor changed.",
			body:        jsonBody, bare: "role", refusals: map[int]string{401: notRecent, 409: lastSuperadmin}, typed: endpoint(a, a.setRole),
		},
		{
			Route: at(http.MethodPut, "/api/v1/auth/users/{id}/status", "set_status", web.OrgAdmin, web.Bearer),
			Tag:   tagUsers, Summary: "Suspend or activate a user",
			Description: "Suspension ends their sessions, and their access tokens are refused here at once.",
			body:        jsonBody, refusals: map[int]string{409: lastSuperadmin}, typed: endpoint(a, a.setStatus),
		},
		{
			Route: at(http.MethodPut, "/api/v1/auth/users/{id}/password", "reset_password", web.OrgAdmin, web.Bearer),
			Tag:   tagUsers, Summary: "Reset a user's password",
			Description: "Ends their sessions. One's own password is changed at `/me/password` instead.",
			hashes:      true, body: jsonBody, typed: endpoint(a, a.resetPassword),
			refusals: map[int]string{
				401: notRecent, 403: "`forbidden`: the role does not allow this; `own_password`: it is the caller's own", 429: busy,
			},
		},
		{
			Route: at(http.MethodDelete, "/api/v1/auth/users/{id}", "delete_user", web.OrgAdmin, web.Bearer),
			Tag:   tagUsers, Summary: "Delete a user",
			Description: "Ends their sessions and memberships.",
			query:       []string{"service_tokens"}, refusals: map[int]string{409: lastSuperadmin}, typed: endpoint(a, a.deleteUser),
		},
	}
}

// Paging selects a page of a list.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" doc:"Length of a page. Default: 1000."`
	Cursor string `query:"cursor" maxLength:"512" doc:"The next_cursor of the previous page."`
}

// UserFilter narrows the list of users.
type UserFilter struct {
	Paging
	OrgID string `query:"org_id" doc:"Only this organization. Another one than the own is not found, except by a superadmin."`
	Email string `query:"email" minLength:"1" doc:"Only the user with this e-mail address."`
	Query string `query:"q" minLength:"1" maxLength:"64" doc:"Only users whose e-mail address or name begins with this, in upper or lower case. An internationalized domain is found as a whole only."`

	Role   string `query:"role" enum:"viewer,operator,org_admin,superadmin" doc:"Only users of this role."`
	Status string `query:"status" enum:"active,suspended" doc:"Only users of this status."`
	Sort   string `query:"sort" enum:"created_at,-created_at,email,-email,display_name,-display_name" doc:"The order; with - the last comes first. Default: created_at."`
}

// User is a user, as administrators see them.
type User struct {
	ID          string          `json:"id" example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
	Email       string          `json:"email" example:"ada@example.com"`
	DisplayName string          `json:"display_name" example:"Ada Lovelace"`
	Role        identity.Role   `json:"role" enum:"viewer,operator,org_admin,superadmin" example:"viewer"`
	OrgID       string          `json:"org_id" example:"default"`
	Status      identity.Status `json:"status" enum:"active,suspended" example:"active"`
	LastLoginAt *time.Time      `json:"last_login_at" doc:"null: never." example:"2026-11-22T10:16:02.5Z"`
}

// UserList is a list of users.
type UserList struct {
	Users []User `json:"users" nullable:"false"`
	Total int    `json:"total" doc:"Number of users on all pages. Of a search with q at most 1000, which means that many or more; above 10000 up to 10 seconds old." example:"1"`
	Next  string `json:"next_cursor,omitempty" doc:"When there are more."`
}

// UserCreation describes a new user.
type UserCreation struct {
	Registration
	Role  string `json:"role,omitempty" enum:"viewer,operator,org_admin,superadmin" doc:"Default: viewer." example:"operator"`
	OrgID string `json:"org_id,omitempty" maxLength:"36" doc:"Default: the own organization." example:"default"`

	EmailVerified bool `json:"email_verified,omitempty" doc:"That the user receives mail at the address. Default: false." example:"true"`
}

// RegistrationSwitch is the new state of the switch.
type RegistrationSwitch struct {
	Enabled bool `json:"enabled" example:"false"`
}

// RegistrationState says whether registration is open.
type RegistrationState struct {
	Enabled bool `json:"registration_enabled" example:"false"`
}

// RoleRequest is a user's new role.
type RoleRequest struct {
	Role string `json:"role" enum:"viewer,operator,org_admin,superadmin" example:"operator"`
	TokenDecision
}

// TokenDecision decides about the service tokens that a user owns.
type TokenDecision struct {
	ServiceTokens identity.TokenDecision `json:"service_tokens,omitempty" enum:"revoke,keep" doc:"What happens to the service tokens that the user owns: they are revoked, or you keep them as yours. Required for a user who owns some and is suspended, moved or gets a weaker role." example:"revoke"`
}

// StatusRequest is a user's new status.
type StatusRequest struct {
	Status string `json:"status" enum:"active,suspended" example:"suspended"`
	TokenDecision
}

// PasswordReset is a user's new password.
type PasswordReset struct {
	New string `json:"new_password" format:"password" doc:"At most 72 bytes in UTF-8." example:"staple the other horse"`
}

// ChangedRole is a user and their new role.
type ChangedRole struct {
	ID    string        `json:"id" example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
	Email string        `json:"email" example:"ada@example.com"`
	Role  identity.Role `json:"role" enum:"viewer,operator,org_admin,superadmin" example:"operator"`
}

// ChangedStatus is a user and their new status.
type ChangedStatus struct {
	ID     string          `json:"id" example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
	Email  string          `json:"email" example:"ada@example.com"`
	Status identity.Status `json:"status" enum:"active,suspended" example:"suspended"`
}

// UserID is the user in the path.
type UserID struct {
	ID string `path:"id" doc:"Id of the user." example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
}

func (a *API) listUsers(ctx context.Context, by *caller, in *UserFilter) (UserList, error) {
	page, err := a.directory.Users(ctx, by.actor,
		directory.Filter{
			OrgID: in.OrgID, Email: in.Email, Limit: in.Limit, Cursor: in.Cursor,
			Query: in.Query, Role: in.Role, Status: in.Status, Sort: in.Sort,
		})
	list := UserList{Users: make([]User, 0, len(page.Items)), Total: page.Total, Next: page.Next}
	for _, u := range page.Items {
		list.Users = append(list.Users, User{
			ID: u.ID, Email: u.Email, DisplayName: u.DisplayName, Role: u.Role, OrgID: u.OrgID, Status: u.Status,
			LastLoginAt: optionalTime(u.LastLoginAt),
		})
	}
	return list, err
}

func (a *API) createUser(ctx context.Context, by *caller, in *struct{ Body UserCreation }) (Account, error) {
	user, err := a.directory.CreateUser(ctx, by.actor, directory.NewUser{
		Email: in.Body.Email, Password: in.Body.Password, DisplayName: in.Body.DisplayName,
		Role: in.Body.Role, OrgID: in.Body.OrgID, EmailVerified: in.Body.EmailVerified,
	})
	return accountOf(user), err
}

func (a *API) getRegistration(ctx context.Context, _ *caller, _ *struct{}) (RegistrationState, error) {
	enabled, err := a.directory.Registration(ctx)
	return RegistrationState{enabled}, err
}

func (a *API) setRegistration(
	ctx context.Context, by *caller, in *struct{ Body RegistrationSwitch },
) (RegistrationState, error) {
	enabled, err := a.directory.SetRegistration(ctx, by.actor, in.Body.Enabled)
	return RegistrationState{enabled}, err
}

type setRoleInput struct {
	UserID
	Body RoleRequest
}

func (a *API) setRole(ctx context.Context, by *caller, in *setRoleInput) (ChangedRole, error) {
	u, err := a.directory.SetRole(ctx, by.actor, in.ID, in.Body.Role, in.Body.ServiceTokens)
	return ChangedRole{ID: u.ID, Email: u.Email, Role: u.Role}, err
}

type setStatusInput struct {
	UserID
	Body StatusRequest
}

func (a *API) setStatus(ctx context.Context, by *caller, in *setStatusInput) (ChangedStatus, error) {
	u, err := a.directory.SetStatus(ctx, by.actor, in.ID, in.Body.Status, in.Body.ServiceTokens)
	return ChangedStatus{ID: u.ID, Email: u.Email, Status: u.Status}, err
}

type resetPasswordInput struct {
	UserID
	Body PasswordReset
}

func (a *API) resetPassword(ctx context.Context, by *caller, in *resetPasswordInput) (Message, error) {
	return Message{"Password reset"}, a.directory.ResetPassword(ctx, by.actor, in.ID, in.Body.New)
}

type deleteUserInput struct {
	UserID
	ServiceTokens identity.TokenDecision `query:"service_tokens" enum:"revoke,keep" doc:"What happens to the service tokens that the user owns: they are revoked, or you keep them as yours. Required for a user who owns some."`
}

func (a *API) deleteUser(ctx context.Context, by *caller, in *deleteUserInput) (Message, error) {
	return Message{"User deleted"}, a.directory.Delete(ctx, by.actor, in.ID, in.ServiceTokens)
}

package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/web"
)

const tagGroups = "groups"

func (a *API) groupRoutes() []route {
	const exists = "`group_exists`: the organization has a group of this name"
	return []route{
		{
			Route: at(http.MethodPost, "/api/v1/groups", "create_group", web.OrgAdmin, web.Bearer),
			Tag:   tagGroups, Summary: "Create a group",
			Description: "In the own organization, or, for a superadmin, in the one named.",
			body:        jsonBody, typed: endpoint(a, a.createGroup),
			refusals: map[int]string{404: otherOrg, 409: exists},
		},
		{
			Route: at(http.MethodGet, "/api/v1/groups", "list_groups", web.UserOrService, web.Bearer),
			Tag:   tagGroups, Summary: "List the groups",
			Description: "Those of the own organization, or, for a superadmin, of the one named.",
			query:       []string{"limit", "cursor", "org_id"}, typed: endpoint(a, a.listGroups),
			refusals: map[int]string{404: otherOrg},
		},
		{
			Route: at(http.MethodGet, "/api/v1/groups/{id}", "get_group", web.UserOrService, web.Bearer),
			Tag:   tagGroups, Summary: "Show a group and its members",
			Description: "A group of another organization is not found, except by a superadmin.",
			whole:       true, typed: endpoint(a, a.getGroup),
		},
		{
			Route: at(http.MethodPut, "/api/v1/groups/{id}", "update_group", web.OrgAdmin, web.Bearer),
			Tag:   tagGroups, Summary: "Rename or describe a group",
			Description: "Absent fields stay unchanged.",
			body:        jsonBody, refusals: map[int]string{409: exists}, typed: endpoint(a, a.updateGroup),
		},
		{
			Route: at(http.MethodDelete, "/api/v1/groups/{id}", "delete_group", web.OrgAdmin, web.Bearer),
			Tag:   tagGroups, Summary: "Delete a group",
			Description: "Deletes its memberships, too.",
			typed:       endpoint(a, a.deleteGroup),
		},
		{
			Route: at(http.MethodPost, "/api/v1/groups/{id}/members", "add_member", web.OrgAdmin, web.Bearer),
			Tag:   tagGroups, Summary: "Add a member",
			Description: "A user of the group's organization. Their next access token names the group.",
			body:        jsonBody, bare: "user_id", refusals: map[int]string{409: "`already_member`, or `too_many_groups` of one user"}, typed: endpoint(a, a.addMember),
		},
		{
			Route: at(http.MethodDelete, "/api/v1/groups/{id}/members/{user_id}", "remove_member", web.OrgAdmin, web.Bearer),
			Tag:   tagGroups, Summary: "Remove a member",
			Description: "Their next access token does not name the group.",
			typed:       endpoint(a, a.removeMember),
		},
	}
}

// GroupCreation describes a new group.
type GroupCreation struct {
	Name        string `json:"name" minLength:"1" maxLength:"255" doc:"Unique within the organization." example:"on-call"`
	Description string `json:"description,omitempty" maxLength:"500" example:"Engineers on call"`
	OrgID       string `json:"org_id,omitempty" maxLength:"36" doc:"For superadmins. Default: the own organization." example:"default"`
}

// GroupChange has the fields of a group to change.
type GroupChange struct {
	Name        *string `json:"name,omitempty" minLength:"1" maxLength:"255" example:"on-call"`
	Description *string `json:"description,omitempty" maxLength:"500" example:"Engineers on call"`
}

// CreatedGroup is a new group.
type CreatedGroup struct {
	ID    string `json:"id" example:"01981b60-0c4f-7d0e-b5c1-7e6a1c0f2b34"`
	Name  string `json:"name" example:"on-call"`
	OrgID string `json:"org_id" example:"default"`
}

// ChangedGroup is a group after a change.
type ChangedGroup struct {
	ID          string `json:"id" example:"01981b60-0c4f-7d0e-b5c1-7e6a1c0f2b34"`
	Name        string `json:"name" example:"on-call"`
	Description string `json:"description" example:"Engineers on call"`
}

// Group is a group without its members.
type Group struct {
	ID          string `json:"id" example:"01981b60-0c4f-7d0e-b5c1-7e6a1c0f2b34"`
	Name        string `json:"name" example:"on-call"`
	Description string `json:"description" example:"Engineers on call"`
	OrgID       string `json:"org_id" example:"default"`
}

// GroupDetail is a group with its members.
type GroupDetail struct {
	Group
	Members []Member `json:"members" nullable:"false"`
}

// Member is a user's membership.
type Member struct {
	UserID   string    `json:"user_id" example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
	JoinedAt time.Time `json:"joined_at" example:"2026-11-22T10:15:30.123456Z"`
}

// GroupList is a list of groups, oldest first.
type GroupList struct {
	Groups []Group `json:"groups" nullable:"false"`
	Total  int     `json:"total" doc:"Number of groups on all pages." example:"1"`
	Next   string  `json:"next_cursor,omitempty" doc:"When there are more."`
}

// GroupFilter narrows the list of groups.
type GroupFilter struct {
	Paging
	OrgID string `query:"org_id" doc:"Only this organization. Another one than the own is not found, except by a superadmin."`
}

// GroupID is the group in the path.
type GroupID struct {
	ID string `path:"id" doc:"Id of the group." example:"01981b60-0c4f-7d0e-b5c1-7e6a1c0f2b34"`
}

// MemberAddition names the new member.
type MemberAddition struct {
	UserID string `json:"user_id" example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
}

func (a *API) createGroup(ctx context.Context, by *caller, in *struct{ Body GroupCreation }) (CreatedGroup, error) {
	g, err := a.directory.CreateGroup(ctx, by.actor, directory.NewGroup{
		Name: in.Body.Name, Description: in.Body.Description, OrgID: in.Body.OrgID,
	})
	return CreatedGroup{ID: g.ID, Name: g.Name, OrgID: g.OrgID}, err
}

func (a *API) listGroups(ctx context.Context, by *caller, in *GroupFilter) (GroupList, error) {
	page, err := a.directory.Groups(ctx, by.actor,
		directory.Filter{OrgID: in.OrgID, Limit: in.Limit, Cursor: in.Cursor})
	list := GroupList{Groups: make([]Group, 0, len(page.Items)), Total: page.Total, Next: page.Next}
	for _, g := range page.Items {
		list.Groups = append(list.Groups, groupOf(g))
	}
	return list, err
}

func (a *API) getGroup(ctx context.Context, by *caller, in *GroupID) (GroupDetail, error) {
	g, members, err := a.directory.Group(ctx, by.actor, in.ID)
	detail := GroupDetail{Group: groupOf(g), Members: make([]Member, 0, len(members))}
	for _, m := range members {
		detail.Members = append(detail.Members, Member{UserID: m.UserID, JoinedAt: m.JoinedAt.UTC()})
	}
	return detail, err
}

type updateGroupInput struct {
	GroupID
	Body GroupChange
}

func (a *API) updateGroup(ctx context.Context, by *caller, in *updateGroupInput) (ChangedGroup, error) {
	g, err := a.directory.UpdateGroup(ctx, by.actor, in.ID, in.Body.Name, in.Body.Description)
	return ChangedGroup{ID: g.ID, Name: g.Name, Description: g.Description}, err
}

func (a *API) deleteGroup(ctx context.Context, by *caller, in *GroupID) (Message, error) {
	return Message{"Group deleted"}, a.directory.DeleteGroup(ctx, by.actor, in.ID)
}

type addMemberInput struct {
	GroupID
	Body MemberAddition
}

func (a *API) addMember(ctx context.Context, by *caller, in *addMemberInput) (Message, error) {
	return Message{"Member added"}, a.directory.AddMember(ctx, by.actor, in.ID, in.Body.UserID)
}

type removeMemberInput struct {
	GroupID
	UserID string `path:"user_id" doc:"Id of the member." example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
}

func (a *API) removeMember(ctx context.Context, by *caller, in *removeMemberInput) (Message, error) {
	return Message{"Member removed"}, a.directory.RemoveMember(ctx, by.actor, in.ID, in.UserID)
}

func groupOf(g identity.Group) Group {
	return Group{ID: g.ID, Name: g.Name, Description: g.Description, OrgID: g.OrgID}
}

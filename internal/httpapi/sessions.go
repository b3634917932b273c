package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/web"
)

func (a *API) sessionRoutes() []route {
	return []route{
		{
			Route: at(http.MethodGet, "/api/v1/auth/sessions", "list_sessions", web.Account, web.Bearer),
			Tag:   tagAccount, Summary: "List my sessions",
			Description: "Those that have neither ended nor expired. What a client holds with offline_access outlives sessions and is listed on its own, with its `client_id`.",
			query:       []string{"limit", "cursor"}, typed: endpoint(a, a.listSessions),
		},
		{
			Route: at(http.MethodDelete, "/api/v1/auth/sessions/{id}", "end_session", web.Account, web.Bearer),
			Tag:   tagAccount, Summary: "Log out elsewhere",
			Description: "Ends one of the user's own sessions. Its tokens are refused here at once, and listed as revoked for other services.",
			refusals:    map[int]string{404: "`not_found`: it has ended, or is not one of the user's own"},
			typed:       endpoint(a, a.endSession),
		},
		{
			Route: at(http.MethodPost, "/api/v1/auth/logout-all", "logout_all", web.Account, web.Bearer),
			Tag:   tagAccount, Summary: "Log out everywhere",
			Description: "Ends all of the user's own sessions, this one too.",
			typed:       endpoint(a, a.logOutAll),
		},
		{
			Route: at(http.MethodGet, "/api/v1/auth/users/{id}/sessions", "list_user_sessions", web.OrgAdmin, web.Bearer),
			Tag:   tagUsers, Summary: "List a user's sessions",
			Description: "Those that have neither ended nor expired. What a client holds with offline_access outlives sessions and is listed on its own, with its `client_id`.",
			query:       []string{"limit", "cursor"}, typed: endpoint(a, a.listUserSessions),
		},
		{
			Route: at(http.MethodDelete, "/api/v1/auth/users/{id}/sessions", "end_user_sessions", web.OrgAdmin, web.Bearer),
			Tag:   tagUsers, Summary: "End all sessions of a user",
			Description: "Their tokens are refused here at once, and listed as revoked for other services. The user may log in again.",
			typed:       endpoint(a, a.endUserSessions),
		},
		{
			Route: at(http.MethodDelete, "/api/v1/auth/users/{id}/sessions/{session_id}", "end_user_session", web.OrgAdmin, web.Bearer),
			Tag:   tagUsers, Summary: "End one session of a user",
			Description: "Its tokens are refused here at once, and listed as revoked for other services.",
			typed:       endpoint(a, a.endUserSession),
		},
	}
}

// Session is a user signed in on one device.
type Session struct {
	ID         string    `json:"id" doc:"As in the claim sid of its access tokens." example:"01981b63-8f0e-7d11-9a53-5b0c2d4e6f70"`
	CreatedAt  time.Time `json:"created_at" example:"2026-11-22T10:15:30.123456Z"`
	LastUsedAt time.Time `json:"last_used_at" doc:"The last refresh, up to a minute too early." example:"2026-11-22T10:45:30.5Z"`
	ExpiresAt  time.Time `json:"expires_at" doc:"Unless it is used again." example:"2026-11-29T10:45:30.5Z"`
	Address    string    `json:"address" doc:"Of the client that logged in; empty: unknown." example:"192.0.2.7"`
	Device     string    `json:"device" doc:"From the User-Agent, which the client chose; empty: unknown." example:"Firefox on Linux"`
	ClientID   string    `json:"client_id" doc:"Empty: a browser, in which the user is signed in at this server." example:"urn:pico-auth:client:first-party"`
	AMR        []string  `json:"amr" nullable:"false" doc:"How the user was authenticated (RFC 8176)." example:"[\"pwd\"]"`
	Current    bool      `json:"current" doc:"Whether the access token of this request is of this session." example:"true"`
}

// SessionList is a list of sessions, oldest first.
type SessionList struct {
	Sessions []Session `json:"sessions" nullable:"false"`
	Total    int       `json:"total" doc:"Number of sessions on all pages." example:"1"`
	Next     string    `json:"next_cursor,omitempty" doc:"When there are more."`
}

// SessionID is the path of one of the user's own sessions.
type SessionID struct {
	ID string `path:"id" doc:"ID of the session." example:"01981b63-8f0e-7d11-9a53-5b0c2d4e6f70"`
}

// UserSessionsFilter pages the list of a user's sessions.
type UserSessionsFilter struct {
	UserID
	Paging
}

// UserSessionID is the path of one session of a user.
type UserSessionID struct {
	UserID
	SessionID string `path:"session_id" doc:"ID of the session." example:"01981b63-8f0e-7d11-9a53-5b0c2d4e6f70"`
}

func (a *API) listSessions(ctx context.Context, by *caller, in *Paging) (SessionList, error) {
	return a.sessionsOf(ctx, by, by.user.ID, *in)
}

func (a *API) listUserSessions(ctx context.Context, by *caller, in *UserSessionsFilter) (SessionList, error) {
	return a.sessionsOf(ctx, by, in.ID, in.Paging)
}

func (a *API) sessionsOf(ctx context.Context, by *caller, userID string, in Paging) (SessionList, error) {
	page, err := a.sessions.List(ctx, by.actor, userID, session.Filter{Limit: in.Limit, Cursor: in.Cursor})
	list := SessionList{Sessions: make([]Session, 0, len(page.Items)), Total: page.Total, Next: page.Next}
	for _, s := range page.Items {
		list.Sessions = append(list.Sessions, sessionOf(s, by.actor))
	}
	return list, err
}

func sessionOf(s identity.Session, by identity.Actor) Session {
	return Session{
		ID: s.ID, CreatedAt: s.CreatedAt.UTC(), LastUsedAt: s.LastUsedAt.UTC(), ExpiresAt: s.ExpiresAt.UTC(),
		Address: s.Address, Device: session.Device(s.UserAgent), ClientID: s.ClientID, AMR: s.Methods, Current: s.ID == by.SessionID,
	}
}

func (a *API) endSession(ctx context.Context, by *caller, in *SessionID) (Message, error) {
	return Message{"Session ended"}, a.sessions.EndOne(ctx, by.actor, by.user.ID, in.ID)
}

func (a *API) logOutAll(ctx context.Context, by *caller, _ *struct{}) (Message, error) {
	_, err := a.sessions.EndAll(ctx, by.actor, by.user.ID)
	return Message{"Logged out everywhere"}, err
}

func (a *API) endUserSession(ctx context.Context, by *caller, in *UserSessionID) (Message, error) {
	return Message{"Session ended"}, a.sessions.EndOne(ctx, by.actor, in.ID, in.SessionID)
}

func (a *API) endUserSessions(ctx context.Context, by *caller, in *UserID) (Message, error) {
	_, err := a.sessions.EndAll(ctx, by.actor, in.ID)
	return Message{"Sessions ended"}, err
}

package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/web"
)

const tagAccount = "account"

// The meaning of some statuses in several places.
const (
	emailTaken = "`email_taken`: another user has this e-mail address"
	otherOrg   = "`not_found`: another organization"
	busy       = "`rate_limited`: too many passwords are being hashed"
	throttled  = "`rate_limited`: too many failed attempts, or too many passwords are being hashed"
	unknowns   = "`rate_limited`: too many unknown tokens from this network; one that exists is not refused"

	unauthenticated = "`unauthenticated`: no access token; `invalid_token`: it is not valid"
	notRecent       = unauthenticated + "; `reauthentication_required`: the user of the session was authenticated too long ago"
)

func (a *API) accountRoutes() []route {
	return []route{
		{
			Route: at(http.MethodPost, "/api/v1/auth/register", "register", web.Anonymous, web.NoCredential),
			Tag:   tagAccount, Summary: "Register",
			Description: "Creates a viewer in the organization of `auth.registration_org`, by default `default`. Refused with 403 `registration_disabled` while registration is switched off, or that organization is suspended.",
			body:        jsonBody, typed: endpoint(a, a.register),
			refusals: map[int]string{403: "`registration_disabled`", 409: emailTaken, 429: "`rate_limited`: too many registrations from this network, or too many passwords are being hashed"},
		},
		{
			Route: at(http.MethodPost, "/api/v1/auth/login", "login", web.Anonymous, web.NoCredential),
			Tag:   tagAccount, Summary: "Log in",
			Description: "Starts a session and returns its first pair of tokens. An unknown e-mail address, a wrong password and a suspended user are refused alike, 401 `invalid_credentials`.",
			body:        jsonBody, typed: endpoint(a, a.logIn),
			refusals: map[int]string{401: "`invalid_credentials`", 429: throttled},
		},
		{
			Route: at(http.MethodPost, "/api/v1/auth/refresh", "refresh", web.Anonymous, web.RefreshToken),
			Tag:   tagAccount, Summary: "Refresh the tokens",
			Description: "Uses the refresh token and returns the next pair of the session. A token that was used before ends its session: one of the two clients that presented it stole it. So let one tab of a browser application refresh at a time (`navigator.locks`), and read the stored token inside the lock. With `auth.refresh_reuse_grace_seconds` a used token yields the same successor again for so long, while that is unused: for responses that got lost. docs/api.md has a recipe, and when to set it.",
			body:        jsonBody, bare: "refresh_token", typed: endpoint(a, a.refresh),
			refusals: map[int]string{401: "`invalid_token`: unknown, used, expired, or its session has ended", 429: "`rate_limited`: too many refreshes of this session, or too many unknown tokens from this network; the token stays unused"},
		},
		{
			Route: at(http.MethodPost, "/api/v1/auth/logout", "logout", web.UserOrRefresh, web.Bearer|web.RefreshToken),
			Tag:   tagAccount, Summary: "Log out",
			Description: "Ends one session: that of the refresh token in the body, if there is one, otherwise that of the access token. Every token of the session ends with it.",
			body:        optionalBody, typed: endpoint(a, a.logOut),
			refusals: map[int]string{429: unknowns},
		},
		{
			Route: at(http.MethodGet, "/api/v1/auth/me", "me", web.UserProfile, web.Bearer),
			Tag:   tagAccount, Summary: "Show my profile",
			Description: "The user of the access token, as in the database now.",
			typed:       endpoint(a, a.me),
		},
		{
			Route: at(http.MethodPatch, "/api/v1/auth/me", "update_me", web.Account, web.Bearer),
			Tag:   tagAccount, Summary: "Change my profile",
			Description: "Changes what is sent, and clears a field that is null.",
			body:        jsonBody, typed: endpoint(a, a.updateMe),
			refusals: map[int]string{429: "`rate_limited`: too many changes by this user"},
		},
		{
			Route: at(http.MethodDelete, "/api/v1/auth/me", "delete_me", web.User, web.Bearer),
			Tag:   tagAccount, Summary: "Delete my account",
			Description: "Deletes the user of the access token with all sessions and memberships, proved by the password, or by a recent sign-in unless `auth.privileged_max_age_minutes` is 0. The id is never used again.",
			body:        optionalBody, typed: endpoint(a, a.deleteMe),
			refusals: map[int]string{
				401: notRecent, 403: "`invalid_credentials`: the password is wrong",
				409: "`last_superadmin`: the last active superadmin must stay one; `owns_service_tokens`: `errors` names them", 429: throttled,
			},
		},
		{
			Route: at(http.MethodPost, "/api/v1/auth/me/password", "change_password", web.User, web.Bearer),
			Tag:   tagAccount, Summary: "Change my password",
			Description: "Returns a new pair of tokens for this session. All other sessions end, and all earlier tokens are refused; only the access token of this request still reads `/me` until it expires. A wrong old password is refused with 403 `invalid_credentials`.",
			body:        jsonBody, typed: endpoint(a, a.changePassword),
			refusals: map[int]string{
				403: "`invalid_credentials`: the old password is wrong", 409: "`password_changed`: by another request", 429: throttled,
			},
		},
		{
			Route: at(http.MethodPost, "/api/v1/auth/reauthenticate", "reauthenticate", web.User, web.Bearer),
			Tag:   tagAccount, Summary: "Confirm my password",
			Description: "Before acts that need a recent sign-in, which are refused with 401 `reauthentication_required` otherwise: to create or promote a superadmin, and to reset the password or change the address of another user. The tokens of the session stay valid; a refresh is no sign-in.",
			body:        jsonBody, typed: endpoint(a, a.reauthenticate),
			refusals: map[int]string{
				401: unauthenticated + "; `reauthentication_required`: it names no session, log in again",
				403: "`invalid_credentials`: the password is wrong", 429: throttled,
			},
		},
	}
}

// Registration describes a user who registers.
type Registration struct {
	Email       string `json:"email" minLength:"3" maxLength:"254" example:"ada@example.com"`
	Password    string `json:"password" format:"password" doc:"At most 72 bytes in UTF-8." example:"correct horse battery"`
	DisplayName string `json:"display_name,omitempty" maxLength:"255" example:"Ada Lovelace"`
}

// Credentials identify and authenticate a user.
type Credentials struct {
	Email    string `json:"email" example:"ada@example.com"`
	Password string `json:"password" format:"password" example:"correct horse battery"`
}

// RefreshToken is a body with a refresh token.
type RefreshToken struct {
	Token string `json:"refresh_token" doc:"As returned by login or refresh." example:"q3Yk0mZ7t1cVh5xUeB2LwR9a8wC6mQHGMrIHZZ8mnKmDfwdDqf7LsLzN3nPcTzQYx0c"`
}

// LogoutRequest may name the session to end.
type LogoutRequest struct {
	Token string `json:"refresh_token,omitempty" doc:"Ends the session of this refresh token; no access token is needed then." example:"q3Yk0mZ7t1cVh5xUeB2LwR9a8wC6mQHGMrIHZZ8mnKmDfwdDqf7LsLzN3nPcTzQYx0c"`
}

// PasswordChange replaces the user's own password.
type PasswordChange struct {
	Old string `json:"old_password" format:"password" example:"correct horse battery"`
	New string `json:"new_password" format:"password" doc:"At most 72 bytes in UTF-8." example:"staple the other horse"`
}

// Reauthentication is the user's own password.
type Reauthentication struct {
	Password string `json:"password" format:"password" example:"correct horse battery"`
}

// Account is the short form of a user.
type Account struct {
	ID     string          `json:"id" example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
	Email  string          `json:"email" example:"ada@example.com"`
	Role   identity.Role   `json:"role" enum:"viewer,operator,org_admin,superadmin" example:"viewer"`
	Status identity.Status `json:"status" enum:"active,suspended" example:"active"`
}

// Tokens is the result of a login or a refresh.
type Tokens struct {
	AccessToken  string `json:"access_token" doc:"A JWT, to be sent as Authorization: Bearer." example:"eyJhbGciOiJSUzI1NiIs..."`
	RefreshToken string `json:"refresh_token" doc:"Valid for one refresh." example:"q3Yk0mZ7t1cVh5xUeB2LwR9a8wC6mQHGMrIHZZ8mnKmDfwdDqf7LsLzN3nPcTzQYx0c"`
	TokenType    string `json:"token_type" enum:"Bearer" example:"Bearer"`
	ExpiresIn    int64  `json:"expires_in" doc:"Lifetime of the access token in seconds." example:"900"`
}

// PasswordChanged confirms the change, with the new tokens of the session.
type PasswordChanged struct {
	Text         string `json:"message" example:"Password changed"`
	AccessToken  string `json:"access_token" doc:"A JWT, to be sent as Authorization: Bearer." example:"eyJhbGciOiJSUzI1NiIs..."`
	RefreshToken string `json:"refresh_token" doc:"Valid for one refresh." example:"q3Yk0mZ7t1cVh5xUeB2LwR9a8wC6mQHGMrIHZZ8mnKmDfwdDqf7LsLzN3nPcTzQYx0c"`
	TokenType    string `json:"token_type" enum:"Bearer" example:"Bearer"`
	ExpiresIn    int64  `json:"expires_in" doc:"Lifetime of the access token in seconds." example:"900"`
}

// Profile is a user's own profile.
type Profile struct {
	ID          string          `json:"id" example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
	Email       string          `json:"email" example:"ada@example.com"`
	DisplayName string          `json:"display_name" example:"Ada Lovelace"`
	Role        identity.Role   `json:"role" enum:"viewer,operator,org_admin,superadmin" example:"viewer"`
	OrgID       string          `json:"org_id" example:"default"`
	Status      identity.Status `json:"status" enum:"active,suspended" example:"active"`
	CreatedAt   time.Time       `json:"created_at" example:"2026-11-22T10:15:30.123456Z"`
	LastLoginAt *time.Time      `json:"last_login_at" doc:"null: never." example:"2026-11-22T10:16:02.5Z"`

	GivenName  string     `json:"given_name,omitempty" example:"Ada"`
	FamilyName string     `json:"family_name,omitempty" example:"Lovelace"`
	MiddleName string     `json:"middle_name,omitempty" example:"King"`
	Nickname   string     `json:"nickname,omitempty" example:"Ada"`
	Page       string     `json:"profile,omitempty" example:"https://example.com/ada"`
	Picture    string     `json:"picture,omitempty" example:"https://example.com/ada.png"`
	Website    string     `json:"website,omitempty" example:"https://example.com"`
	Gender     string     `json:"gender,omitempty" example:"female"`
	Birthdate  string     `json:"birthdate,omitempty" example:"1815-12-10"`
	Zoneinfo   string     `json:"zoneinfo,omitempty" example:"Europe/London"`
	Locale     string     `json:"locale,omitempty" example:"en-GB"`
	UpdatedAt  *time.Time `json:"updated_at,omitempty" doc:"When the profile was last changed." example:"2026-11-22T10:20:00Z"`

	Phone   string  `json:"phone_number,omitempty" example:"+44 20 7946 0018"`
	Address Address `json:"address,omitzero"`

	EmailVerified bool   `json:"email_verified,omitempty" doc:"An administrator says that the user receives mail at the address." example:"true"`
	Metadata      Object `json:"metadata,omitempty" doc:"The objects admin and user. Users see their own object user."`
}

// OwnProfile is the profile of the caller, with all groups.
type OwnProfile struct {
	Profile
	Groups     []string `json:"groups" nullable:"false" doc:"All groups, also when the access token has groups_truncated: their ids, or as auth.group_claim says." example:"[\"01981b60-0c4f-7d0e-b5c1-7e6a1c0f2b34\"]"`
	GroupNames []string `json:"group_names,omitempty" doc:"In the order of groups, if auth.group_claim is both." example:"[\"on-call\"]"`
}

// Address is a postal address, OpenID Connect Core 5.1.1.
type Address struct {
	Formatted  string `json:"formatted,omitempty" example:"12 St James's Square, London"`
	Street     string `json:"street_address,omitempty" example:"12 St James's Square"`
	Locality   string `json:"locality,omitempty" example:"London"`
	Region     string `json:"region,omitempty" example:"England"`
	PostalCode string `json:"postal_code,omitempty" example:"SW1Y 4JH"`
	Country    string `json:"country,omitempty" example:"GB"`
}

// Message confirms an operation.
type Message struct {
	Text string `json:"message" example:"done"`
}

func (a *API) register(ctx context.Context, by *caller, in *struct{ Body Registration }) (Account, error) {
	user, err := a.directory.Register(ctx, by.actor, in.Body.Email, in.Body.Password, in.Body.DisplayName)
	return accountOf(user), err
}

func (a *API) logIn(ctx context.Context, by *caller, in *struct{ Body Credentials }) (Tokens, error) {
	proof, err := a.login.Password(ctx, by.actor, in.Body.Email, in.Body.Password)
	if err != nil {
		return Tokens{}, err
	}
	return tokensOf(a.sessions.Start(ctx, by.actor, proof))
}

func (a *API) refresh(ctx context.Context, by *caller, in *struct{ Body RefreshToken }) (Tokens, error) {
	return tokensOf(a.tokens.Rotate(ctx, by.actor, in.Body.Token))
}

func (a *API) logOut(ctx context.Context, by *caller, in *struct{ Body *LogoutRequest }) (Message, error) {
	var err error
	switch {
	case in.Body != nil && in.Body.Token != "":
		err = a.sessions.EndByRefreshToken(ctx, by.actor, in.Body.Token)
	case by.refused != nil:
		err = by.refused
	default:
		err = a.sessions.End(ctx, by.actor)
	}
	return Message{"Logged out"}, err
}

func (a *API) me(_ context.Context, by *caller, _ *struct{}) (OwnProfile, error) {
	profile := profileOf(*by.user)
	profile.Metadata = Object(identity.OwnMetadata(by.user.Metadata))
	return OwnProfile{Profile: profile, Groups: by.groups.Groups, GroupNames: by.groups.Names}, nil
}

func (a *API) changePassword(ctx context.Context, by *caller, in *struct{ Body PasswordChange }) (PasswordChanged, error) {
	t, err := tokensOf(a.directory.ChangePassword(ctx, by.actor, in.Body.Old, in.Body.New))
	return PasswordChanged{
		Text: "Password changed", AccessToken: t.AccessToken, RefreshToken: t.RefreshToken, TokenType: t.TokenType, ExpiresIn: t.ExpiresIn,
	}, err
}

func (a *API) reauthenticate(ctx context.Context, by *caller, in *struct{ Body Reauthentication }) (Message, error) {
	return Message{"Confirmed"}, a.directory.Reauthenticate(ctx, by.actor, in.Body.Password)
}

func accountOf(u identity.User) Account {
	return Account{ID: u.ID, Email: u.Email, Role: u.Role, Status: u.Status}
}

func tokensOf(pair token.Pair, err error) (Tokens, error) {
	return Tokens{
		AccessToken: pair.AccessToken, RefreshToken: pair.RefreshToken,
		TokenType: "Bearer", ExpiresIn: int64(pair.ExpiresIn / time.Second),
	}, err
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

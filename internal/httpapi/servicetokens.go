package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/web"
)

const (
	tagServiceTokens = "service tokens"

	takenAudience = "`audience_taken`: an audience belongs to a client or service token of another organization, or to a client of all; a superadmin can add it"
)

func (a *API) serviceTokenRoutes() []route {
	return []route{
		{
			Route: at(http.MethodPost, "/api/v1/auth/service-tokens", "create_service_token", web.OrgAdmin, web.Bearer),
			Tag:   tagServiceTokens, Summary: "Create a service token",
			Description: "The token is not shown again. If an active one of that name exists, it stays unchanged: the response has `already_exists` and no `token`.",
			body:        jsonBody, typed: endpoint(a, a.createServiceToken),
			refusals: map[int]string{401: notRecent, 404: otherOrg, 409: takenAudience},
		},
		{
			Route: at(http.MethodGet, "/api/v1/auth/service-tokens", "list_service_tokens", web.OrgAdmin, web.Bearer),
			Tag:   tagServiceTokens, Summary: "List the service tokens",
			Description: "Those not revoked, never with the token itself.",
			query:       []string{"limit", "cursor", "org_id"}, typed: endpoint(a, a.listServiceTokens),
			refusals: map[int]string{404: otherOrg},
		},
		{
			Route: at(http.MethodPost, "/api/v1/auth/service-tokens/validate", "validate_service_token", web.Anonymous, web.NoCredential),
			Tag:   tagServiceTokens, Summary: "Validate a service token",
			Description: "For services that are called with one.",
			body:        jsonBody, typed: endpoint(a, a.validateServiceToken),
			refusals: map[int]string{429: unknowns},
		},
		{
			Route: at(http.MethodPost, "/api/v1/auth/service-tokens/exchange", "exchange_service_token", web.Service, web.Bearer),
			Tag:   tagServiceTokens, Summary: "Exchange a service token for an access token",
			Description: "For services that verify signatures. The access token (`at+jwt`, RFC 9068) has the role and organization of the service token, whose id is its `sub` and `client_id`, and expires after five minutes at most. This API refuses it.",
			body:        optionalBody, typed: endpoint(a, a.exchangeServiceToken),
			refusals: map[int]string{422: "`validation_failed`: see `errors`; `invalid_target`: an audience that the service token may not request"},
		},
		{
			Route: at(http.MethodPatch, "/api/v1/auth/service-tokens/{name}", "update_service_token", web.OrgAdmin, web.Bearer),
			Tag:   tagServiceTokens, Summary: "Give a service token other audiences",
			Description: "They replace the previous ones. Users do this, no service token and no client does. Access tokens for a previous one are accepted until they expire.",
			body:        jsonBody, query: []string{"org_id"}, typed: endpoint(a, a.updateServiceToken),
			refusals: map[int]string{401: notRecent, 409: takenAudience},
		},
		{
			Route: at(http.MethodDelete, "/api/v1/auth/service-tokens/{name}", "revoke_service_token", web.OrgAdmin, web.Bearer),
			Tag:   tagServiceTokens, Summary: "Revoke a service token",
			Description: "At once and permanently. The name can be used again. It is one of the own organization, or, for a superadmin, of the one in `org_id`.",
			query:       []string{"org_id"}, typed: endpoint(a, a.revokeServiceToken),
		},
		{
			Route: at(http.MethodGet, "/api/v1/auth/revoked-jtis", "list_revoked_jtis", web.UserOrService, web.Bearer),
			Tag:   tagServiceTokens, Summary: "List revoked access tokens",
			Description: "The ids of access tokens that were revoked and have not expired yet, for services that verify tokens themselves and poll this. " +
				"With `format=sessions` the sessions that have ended since the version `since`, and revoked tokens of other sessions. It has an ETag.",
			query: revokedQuery, plain: a.serveRevoked, response: reflect.TypeFor[RevokedList](),
			refusals: map[int]string{503: "`unavailable`: try again after `Retry-After`"},
		},
	}
}

// ServiceTokenCreation describes a new service token.
type ServiceTokenCreation struct {
	Name        string     `json:"name" minLength:"1" maxLength:"255" doc:"Unique within the organization, among those not revoked." example:"billing"`
	Role        string     `json:"role,omitempty" enum:"viewer,operator,org_admin,superadmin" doc:"Default: operator." example:"operator"`
	OrgID       string     `json:"org_id,omitempty" maxLength:"36" doc:"Default: the own organization." example:"default"`
	Description string     `json:"description,omitempty" maxLength:"500" example:"Nightly invoices"`
	Audiences   []string   `json:"audiences,omitempty" maxItems:"50" doc:"Absolute URIs of services, or the audience of this server, that it may be exchanged for. Default: the audience of this server, or those of the service token that creates it. Only users give others." example:"[\"https://api.example\"]"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty" doc:"Default: it does not expire; of one that a service token creates, the expiry of that." example:"2027-11-22T00:00:00Z"`
}

// ServiceTokenChange has the new audiences of a service token.
type ServiceTokenChange struct {
	Audiences []string `json:"audiences" nullable:"false" maxItems:"50" doc:"Absolute URIs of services, or the audience of this server, that it may be exchanged for. Empty: the audience of this server." example:"[\"https://api.example\"]"`
}

// CreatedServiceToken is a new service token, or the existing one.
type CreatedServiceToken struct {
	ID            string `json:"id" example:"01981b61-52ab-7c9e-8d1f-3b8f5f6a7c88"`
	Name          string `json:"name" example:"billing"`
	Token         string `json:"token,omitempty" doc:"The secret, shown only once." example:"pico_svc_9f2c..."`
	AlreadyExists bool   `json:"already_exists" doc:"One of that name existed; its secret is not shown again." example:"false"`
}

// ServiceToken is a service token without its secret.
type ServiceToken struct {
	ID          string        `json:"id" example:"01981b61-52ab-7c9e-8d1f-3b8f5f6a7c88"`
	Name        string        `json:"name" example:"billing"`
	Role        identity.Role `json:"role" doc:"One of the four roles, or another text that the original accepted." example:"operator"`
	OrgID       string        `json:"org_id" example:"default"`
	Description string        `json:"description" example:"Nightly invoices"`
	Audiences   []string      `json:"audiences" nullable:"false" doc:"That it may be exchanged for. Empty: the audience of this server." example:"[\"https://api.example\"]"`
	CreatedAt   time.Time     `json:"created_at" example:"2026-11-22T10:15:30.123456Z"`
	ExpiresAt   *time.Time    `json:"expires_at" doc:"null: never." example:"2027-11-22T00:00:00Z"`
	LastUsedAt  *time.Time    `json:"last_used_at" doc:"null: never. It may be a minute late." example:"2026-11-22T10:16:00Z"`
	OwnerID     *string       `json:"owner_id" doc:"The user who created it, or took it when its owner was suspended, deleted or demoted; null: none." example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
}

// ServiceTokenList is a list of service tokens, oldest first.
type ServiceTokenList struct {
	Tokens []ServiceToken `json:"tokens" nullable:"false"`
	Total  int            `json:"total" doc:"Number of service tokens on all pages." example:"1"`
	Next   string         `json:"next_cursor,omitempty" doc:"When there are more."`
}

// ServiceTokenFilter narrows the list of service tokens.
type ServiceTokenFilter struct {
	Paging
	OrgID string `query:"org_id" doc:"Only this organization. Another one than the own is not found, except by a superadmin."`
}

// PresentedToken is a service token to validate.
type PresentedToken struct {
	Token string `json:"token" example:"pico_svc_9f2c..."`
}

// ExchangeRequest says what the access token is for.
type ExchangeRequest struct {
	Audience string `json:"audience,omitempty" maxLength:"2000" doc:"One that the service token may request. Default: the audience of this server's access tokens, or the first one of a service token that may not request that." example:"https://api.example"`
}

// ExchangedToken is an access token for other services.
type ExchangedToken struct {
	AccessToken string `json:"access_token" doc:"A JWT of the type at+jwt." example:"eyJhbGciOiJSUzI1NiIs..."`
	TokenType   string `json:"token_type" enum:"Bearer" example:"Bearer"`
	ExpiresIn   int64  `json:"expires_in" doc:"Its lifetime in seconds." example:"300"`
}

// Validity says whether a service token is valid, and if so, its name, role and
// organization.
type Validity struct {
	Valid bool          `json:"valid" example:"true"`
	Name  string        `json:"name,omitempty" example:"billing"`
	Role  identity.Role `json:"role,omitempty" doc:"One of the four roles, or another text that the original accepted." example:"operator"`
	OrgID string        `json:"org_id,omitempty" example:"default"`
}

func (a *API) createServiceToken(
	ctx context.Context, by *caller, in *struct{ Body ServiceTokenCreation },
) (CreatedServiceToken, error) {
	t, secret, err := a.tokens.CreateServiceToken(ctx, by.actor, token.NewServiceToken{
		Name: in.Body.Name, Role: in.Body.Role, OrgID: in.Body.OrgID, Description: in.Body.Description, Audiences: in.Body.Audiences, ExpiresAt: in.Body.ExpiresAt,
	})
	return CreatedServiceToken{ID: t.ID, Name: t.Name, Token: secret, AlreadyExists: secret == ""}, err
}

func (a *API) listServiceTokens(ctx context.Context, by *caller, in *ServiceTokenFilter) (ServiceTokenList, error) {
	page, err := a.tokens.ServiceTokens(ctx, by.actor,
		token.Filter{OrgID: in.OrgID, Limit: in.Limit, Cursor: in.Cursor})
	list := ServiceTokenList{Tokens: make([]ServiceToken, 0, len(page.Items)), Total: page.Total, Next: page.Next}
	for _, t := range page.Items {
		list.Tokens = append(list.Tokens, serviceTokenOf(t))
	}
	return list, err
}

func serviceTokenOf(t identity.ServiceToken) ServiceToken {
	st := ServiceToken{
		ID: t.ID, Name: t.Name, Role: t.Role, OrgID: t.OrgID, Description: t.Description,
		Audiences: append([]string{}, t.Audiences...), CreatedAt: t.CreatedAt.UTC(), ExpiresAt: optionalTime(t.ExpiresAt), LastUsedAt: optionalTime(t.LastUsedAt),
	}
	if t.OwnerID != "" {
		st.OwnerID = &t.OwnerID
	}
	return st
}

func (a *API) validateServiceToken(ctx context.Context, by *caller, in *struct{ Body PresentedToken }) (Validity, error) {
	t, err := a.tokens.ValidateServiceToken(ctx, by.actor, in.Body.Token)
	if isInvalidToken(err) {
		return Validity{}, nil
	}
	return Validity{Valid: err == nil, Name: t.Name, Role: t.Role, OrgID: t.OrgID}, err
}

func (a *API) exchangeServiceToken(ctx context.Context, by *caller, in *struct{ Body *ExchangeRequest }) (ExchangedToken, error) {
	var audience string
	if in.Body != nil {
		audience = in.Body.Audience
	}
	pair, err := a.tokens.Exchange(ctx, by.actor, audience)
	return ExchangedToken{AccessToken: pair.AccessToken, TokenType: "Bearer", ExpiresIn: int64(pair.ExpiresIn / time.Second)}, err
}

// ServiceTokenName is the service token in the path.
type ServiceTokenName struct {
	Name  string `path:"name" doc:"Name of the service token." example:"billing"`
	OrgID string `query:"org_id" doc:"Its organization. Default: the own one; another one is not found, except by a superadmin."`
}

type updateServiceTokenInput struct {
	ServiceTokenName
	Body ServiceTokenChange
}

func (a *API) updateServiceToken(ctx context.Context, by *caller, in *updateServiceTokenInput) (ServiceToken, error) {
	t, err := a.tokens.UpdateServiceToken(ctx, by.actor, in.OrgID, in.Name, in.Body.Audiences)
	return serviceTokenOf(t), err
}

func (a *API) revokeServiceToken(ctx context.Context, by *caller, in *ServiceTokenName) (Message, error) {
	return Message{"Service token revoked"}, a.tokens.RevokeServiceToken(ctx, by.actor, in.OrgID, in.Name)
}

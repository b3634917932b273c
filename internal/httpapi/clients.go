package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/pico-auth/pico-auth/internal/client"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/web"
)

const (
	tagClients = "clients"

	notAllowed = "`forbidden`: the role does not allow this; only superadmins give a client `first_party`, the scopes `account` and `admin`, the issuer or the audience of this API as an audience, or a role above the own"
	declared   = "`declared_client`: the client is declared in the configuration"
)

func (a *API) clientRoutes() []route {
	return []route{
		{
			Route: at(http.MethodPost, "/api/v1/clients", "create_client", web.OrgAdmin, web.Bearer),
			Tag:   tagClients, Summary: "Create a client",
			Description: "`kind` decides the defaults: a client of the kind `web` needs a redirect URI and nothing else. The secret is not shown again.",
			body:        jsonBody, created: true, typed: endpoint(a, a.createClient),
			refusals: map[int]string{401: notRecent, 403: notAllowed, 404: otherOrg},
		},
		{
			Route: at(http.MethodGet, "/api/v1/clients", "list_clients", web.OrgAdmin, web.Bearer),
			Tag:   tagClients, Summary: "List the clients",
			Description: "All of them for a superadmin, those of the own organization for an org_admin.",
			query:       []string{"limit", "cursor", "org_id"}, typed: endpoint(a, a.listClients),
			refusals: map[int]string{404: otherOrg},
		},
		{
			Route: at(http.MethodGet, "/api/v1/clients/{client_id}", "get_client", web.OrgAdmin, web.Bearer),
			Tag:   tagClients, Summary: "Show a client",
			Description: "With the ids of its secrets, never the secrets.",
			typed:       endpoint(a, a.getClient),
		},
		{
			Route: at(http.MethodPatch, "/api/v1/clients/{client_id}", "update_client", web.OrgAdmin, web.Bearer),
			Tag:   tagClients, Summary: "Change, suspend or activate a client",
			Description: "Absent fields stay unchanged; lists are replaced as a whole. A suspension ends all tokens of the client; activation revives none.",
			body:        jsonBody, typed: endpoint(a, a.updateClient),
			refusals: map[int]string{401: notRecent, 403: notAllowed, 409: declared},
		},
		{
			Route: at(http.MethodDelete, "/api/v1/clients/{client_id}", "delete_client", web.OrgAdmin, web.Bearer),
			Tag:   tagClients, Summary: "Delete a client",
			Description: "This ends all tokens of the client.",
			typed:       endpoint(a, a.deleteClient),
			refusals:    map[int]string{401: notRecent, 403: notAllowed},
		},
		{
			Route: at(http.MethodPost, "/api/v1/clients/{client_id}/secrets", "create_client_secret", web.OrgAdmin, web.Bearer),
			Tag:   tagClients, Summary: "Give a client a further secret",
			Description: "It is not shown again. The previous secret stays valid, and one before that is removed. With `revoke` all previous ones are removed and all tokens of the client end.",
			body:        optionalBody, created: true, typed: endpoint(a, a.createClientSecret),
			refusals: map[int]string{401: notRecent, 403: notAllowed, 409: "`no_client_secret`: the client authenticates in another way; " + declared},
		},
		{
			Route: at(http.MethodDelete, "/api/v1/clients/{client_id}/secrets/{id}", "delete_client_secret", web.OrgAdmin, web.Bearer),
			Tag:   tagClients, Summary: "Remove a secret of a client",
			Description: "At once. The client keeps the other one.",
			typed:       endpoint(a, a.deleteClientSecret),
			refusals:    map[int]string{401: notRecent, 403: notAllowed, 409: "`last_client_secret`: the client has no other; " + declared},
		},
	}
}

// ClientSettings are the fields of a client that administrators set, by the names of
// RFC 7591 where that has one.
type ClientSettings struct {
	Name                   *string   `json:"name,omitempty" maxLength:"255" doc:"Users see it. Default: the host of the first redirect URI." example:"Wiki"`
	RedirectURIs           *[]string `json:"redirect_uris,omitempty" maxItems:"50" doc:"Compared exactly; of native clients a loopback address matches on any port." example:"[\"https://wiki.example/callback\"]"`
	PostLogoutRedirectURIs *[]string `json:"post_logout_redirect_uris,omitempty" maxItems:"50" doc:"Where users may return to after a logout."`
	GrantTypes             *[]string `json:"grant_types,omitempty" maxItems:"50" example:"[\"authorization_code\",\"refresh_token\"]"`
	Scopes                 *[]string `json:"scopes,omitempty" maxItems:"50" example:"[\"openid\",\"profile\",\"email\",\"offline_access\"]"`
	Audiences              *[]string `json:"audiences,omitempty" maxItems:"50" doc:"Resources that the client may ask for (RFC 8707). Without a request access tokens have the first one; the issuer when there are none."`
	AuthMethod             *string   `json:"token_endpoint_auth_method,omitempty" enum:"none,client_secret_basic,client_secret_post,private_key_jwt" example:"client_secret_basic"`
	JWKS                   any       `json:"jwks,omitempty" doc:"Public keys of private_key_jwt, as a JSON Web Key Set."`
	RequirePKCE            *bool     `json:"require_pkce,omitempty" doc:"Default, and of public clients always: true." example:"true"`
	IDTokenAlg             *string   `json:"id_token_signed_response_alg,omitempty" doc:"Default: RS256." example:"RS256"`
	AccessTokenAlg         *string   `json:"access_token_signed_response_alg,omitempty" doc:"Default: auth.algorithm." example:"ES256"`

	AccessTokenLifetime  *int `json:"access_token_lifetime,omitempty" doc:"In seconds; 0: that of the server, which is also the longest." example:"300"`
	IDTokenLifetime      *int `json:"id_token_lifetime,omitempty" doc:"In seconds; 0: that of access tokens of the server, which is also the longest." example:"300"`
	RefreshTokenLifetime *int `json:"refresh_token_lifetime,omitempty" doc:"In seconds; 0: that of the server." example:"86400"`
	RefreshReuseGrace    *int `json:"refresh_reuse_grace_seconds,omitempty" minimum:"0" maximum:"60" doc:"So long a used refresh token yields its successor again. Default: 10." example:"10"`

	AllowedOrigins *[]string               `json:"allowed_origins,omitempty" maxItems:"50" doc:"Origins of scripts for CORS. Default: those of the redirect URIs."`
	AllowedGroups  *[]string               `json:"allowed_groups,omitempty" maxItems:"50" doc:"Only members of these groups, by their ids, may sign in. Default: all."`
	AllowedRoles   *[]string               `json:"allowed_roles,omitempty" maxItems:"50" doc:"Only users with these roles may sign in. Default: all."`
	Role           *string                 `json:"role,omitempty" enum:"viewer,operator,org_admin,superadmin" doc:"That tokens of the client without a user have, and the highest that those of the scope admin have. Default: viewer with the grant type client_credentials, otherwise that of its creator." example:"viewer"`
	Claims         *map[string]ClaimSource `json:"claims,omitempty" doc:"Custom claims by name. Names that the server sets or reserves are refused."`

	Consent    *bool `json:"consent,omitempty" doc:"Ask users before the client gets their data. Default: true." example:"true"`
	FirstParty *bool `json:"first_party,omitempty" doc:"It belongs to the operator of this server: users are not asked. Superadmins only." example:"false"`

	BackchannelLogoutURI  *string `json:"backchannel_logout_uri,omitempty" example:"https://wiki.example/logout"`
	FrontchannelLogoutURI *string `json:"frontchannel_logout_uri,omitempty" doc:"Best effort, where browsers block cookies of third parties."`

	LogoURI   *string `json:"logo_uri,omitempty" doc:"A data URI of a PNG or WebP image of at most 32 KiB." example:"data:image/png;base64,iVBORw0KGgo="`
	PolicyURI *string `json:"policy_uri,omitempty" example:"https://wiki.example/privacy"`
	TOSURI    *string `json:"tos_uri,omitempty" example:"https://wiki.example/terms"`
	ClientURI *string `json:"client_uri,omitempty" example:"https://wiki.example"`
}

// ClaimSource is what a custom claim is made of: one of the two.
type ClaimSource struct {
	Path  *string `json:"path,omitempty" doc:"Into the metadata of the user." example:"admin.department"`
	Value any     `json:"value,omitempty" doc:"A constant."`
}

// ClientCreation describes a new client.
type ClientCreation struct {
	Kind  string `json:"kind" enum:"spa,web,native,machine" doc:"Runs in a browser, on a server, on the user's device, or acts without a user." example:"web"`
	OrgID string `json:"org_id,omitempty" maxLength:"36" doc:"Only users of this organization may sign in. Default: all users; of an org_admin the own organization." example:"default"`
	ClientSettings
}

// ClientChange has the fields of a client to change.
type ClientChange struct {
	Status *string `json:"status,omitempty" enum:"active,suspended" example:"suspended"`
	ClientSettings
}

// RegisteredClient is a client. Generated programs have a type Client of their own.
type RegisteredClient struct {
	ClientID  string          `json:"client_id" example:"01981b61-52ab-7c9e-8d1f-3b8f5f6a7c88"`
	Kind      string          `json:"kind" enum:"spa,web,native,machine" example:"web"`
	OrgID     *string         `json:"org_id" doc:"null: users of all organizations may sign in." example:"default"`
	Status    identity.Status `json:"status" enum:"active,suspended" doc:"suspended too while its organization is." example:"active"`
	CreatedAt time.Time       `json:"created_at" example:"2026-11-22T10:15:30.123456Z"`
	CreatedBy *string         `json:"created_by" doc:"The user who created it; null: the command line or the configuration." example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
	NotBefore *time.Time      `json:"not_before" doc:"Tokens issued before are refused; null: none." example:"2026-11-22T10:15:30.123456Z"`
	Declared  bool            `json:"declared" doc:"In the configuration, where it is changed." example:"false"`
	ClientSettings
}

// CreatedClient is a new client with its secret.
type CreatedClient struct {
	RegisteredClient
	Secret string `json:"client_secret,omitempty" doc:"Shown only once. Clients without a secret have none." example:"q7m0..."`
}

// ClientDetail is a client with the ids of its secrets.
type ClientDetail struct {
	RegisteredClient
	Secrets []ClientSecret `json:"secrets" nullable:"false"`
}

// ClientSecret is a secret of a client, without the secret.
type ClientSecret struct {
	ID        string    `json:"id" example:"01981b61-52ab-7c9e-8d1f-3b8f5f6a7c88"`
	CreatedAt time.Time `json:"created_at" example:"2026-11-22T10:15:30.123456Z"`
}

// CreatedClientSecret is a new secret of a client.
type CreatedClientSecret struct {
	ClientSecret
	Secret string `json:"client_secret" doc:"Shown only once." example:"q7m0..."`
}

// ClientSecretCreation says what happens to the previous secrets.
type ClientSecretCreation struct {
	Revoke bool `json:"revoke,omitempty" doc:"Remove all previous secrets and end all tokens of the client." example:"false"`
}

// ClientList is a list of clients, oldest first.
type ClientList struct {
	Clients []RegisteredClient `json:"clients" nullable:"false"`
	Total   int                `json:"total" doc:"Number of clients on all pages." example:"1"`
	Next    string             `json:"next_cursor,omitempty" doc:"When there are more."`
}

// ClientFilter narrows the list of clients.
type ClientFilter struct {
	Paging
	OrgID string `query:"org_id" doc:"Only this organization. Another one than the own is not found, except by a superadmin."`
}

// ClientID is the client in the path.
type ClientID struct {
	ClientID string `path:"client_id" doc:"Id of the client." example:"01981b61-52ab-7c9e-8d1f-3b8f5f6a7c88"`
}

// settingsOf returns the fields that the body has.
func settingsOf(body any) (oauth.Settings, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	var s oauth.Settings
	err = json.Unmarshal(encoded, &s)
	return s, err
}

func clientOf(c oauth.Client) (out RegisteredClient, err error) {
	encoded, err := json.Marshal(c)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(encoded, &out); err != nil {
		return out, err
	}
	out.Status, out.CreatedAt, out.NotBefore, out.Declared = identity.Active, c.CreatedAt.UTC(), optionalTime(c.NotBefore), c.Declared
	if c.Suspended {
		out.Status = identity.Suspended
	}
	if c.CreatedBy != "" {
		out.CreatedBy = &c.CreatedBy
	}
	return out, nil
}

func (a *API) createClient(ctx context.Context, by *caller, in *struct{ Body ClientCreation }) (out CreatedClient, err error) {
	settings, err := settingsOf(in.Body)
	if err != nil {
		return out, err
	}
	c, secret, err := a.clients.Create(ctx, by.actor, settings)
	if err != nil {
		return out, err
	}
	out.Secret = secret
	out.RegisteredClient, err = clientOf(c)
	return out, err
}

func (a *API) listClients(ctx context.Context, by *caller, in *ClientFilter) (ClientList, error) {
	page, err := a.clients.List(ctx, by.actor, client.Filter{OrgID: in.OrgID, Limit: in.Limit, Cursor: in.Cursor})
	list := ClientList{Clients: make([]RegisteredClient, 0, len(page.Items)), Total: page.Total, Next: page.Next}
	if err != nil {
		return list, err
	}
	for _, c := range page.Items {
		item, err := clientOf(c)
		if err != nil {
			return list, err
		}
		list.Clients = append(list.Clients, item)
	}
	return list, nil
}

func (a *API) getClient(ctx context.Context, by *caller, in *ClientID) (out ClientDetail, err error) {
	d, err := a.clients.Show(ctx, by.actor, in.ClientID)
	if err != nil {
		return out, err
	}
	out.Secrets = make([]ClientSecret, 0, len(d.Secrets))
	for _, s := range d.Secrets {
		out.Secrets = append(out.Secrets, ClientSecret{ID: s.ID, CreatedAt: s.CreatedAt.UTC()})
	}
	out.RegisteredClient, err = clientOf(d.Client)
	return out, err
}

type updateClientInput struct {
	ClientID
	Body ClientChange
}

func (a *API) updateClient(ctx context.Context, by *caller, in *updateClientInput) (out RegisteredClient, err error) {
	settings, err := settingsOf(in.Body)
	if err != nil {
		return out, err
	}
	c, err := a.clients.Update(ctx, by.actor, in.ClientID.ClientID, settings)
	if err != nil {
		return out, err
	}
	return clientOf(c)
}

func (a *API) deleteClient(ctx context.Context, by *caller, in *ClientID) (Message, error) {
	return Message{"Client deleted"}, a.clients.Delete(ctx, by.actor, in.ClientID)
}

type createClientSecretInput struct {
	ClientID
	Body *ClientSecretCreation
}

func (a *API) createClientSecret(ctx context.Context, by *caller, in *createClientSecretInput) (CreatedClientSecret, error) {
	added, secret, err := a.clients.AddSecret(ctx, by.actor, in.ClientID.ClientID, in.Body != nil && in.Body.Revoke)
	return CreatedClientSecret{ClientSecret: ClientSecret{ID: added.ID, CreatedAt: added.CreatedAt.UTC()}, Secret: secret}, err
}

type deleteClientSecretInput struct {
	ClientID
	ID string `path:"id" doc:"Id of the secret." example:"01981b61-52ab-7c9e-8d1f-3b8f5f6a7c88"`
}

func (a *API) deleteClientSecret(ctx context.Context, by *caller, in *deleteClientSecretInput) (Message, error) {
	return Message{"Secret removed"}, a.clients.RemoveSecret(ctx, by.actor, in.ClientID.ClientID, in.ID)
}

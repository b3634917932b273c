package oauth

import (
	"encoding/json"
	"slices"
	"time"
)

// Kind is what a client is; it decides the defaults of a new one.
type Kind string

// The kinds.
const (
	KindSPA     Kind = "spa"     // runs in a browser; public
	KindWeb     Kind = "web"     // runs on a server; confidential
	KindNative  Kind = "native"  // runs on the user's device; public, RFC 8252
	KindMachine Kind = "machine" // acts without a user; confidential
)

// Grant types, RFC 6749 and RFC 8628.
const (
	GrantCode              = "authorization_code"
	GrantRefresh           = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantDevice            = "urn:ietf:params:oauth:grant-type:device_code"
)

// Authentication methods of clients at the token endpoint, OpenID Connect Core 9.
const (
	AuthNone          = "none" // a public client
	AuthSecretBasic   = "client_secret_basic"
	AuthSecretPost    = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt"
)

// Client is a registered client. Its JSON has the names of RFC 7591 where that has
// one, and is what is stored and what the API shows.
type Client struct {
	ID        string    `json:"client_id"`
	OrgID     string    `json:"org_id,omitempty"` // empty: users of all organizations may sign in
	Suspended bool      `json:"-"`
	Declared  bool      `json:"-"` // by the configuration
	CreatedAt time.Time `json:"-"`
	CreatedBy string    `json:"-"` // id of the user; empty: the command line or the configuration
	NotBefore time.Time `json:"-"` // tokens issued before are refused; zero: none

	Name                   string   `json:"name"`
	Kind                   Kind     `json:"kind"`
	RedirectURIs           []string `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	GrantTypes             []string `json:"grant_types"`
	Scopes                 []string `json:"scopes"`
	Audiences              []string `json:"audiences,omitempty"` // RFC 8707; none: the issuer

	AuthMethod  string          `json:"token_endpoint_auth_method"`
	JWKS        json.RawMessage `json:"jwks,omitempty"` // of AuthPrivateKeyJWT
	RequirePKCE bool            `json:"require_pkce"`   // of a public client always

	IDTokenAlg     string `json:"id_token_signed_response_alg,omitempty"`     // empty: RS256
	AccessTokenAlg string `json:"access_token_signed_response_alg,omitempty"` // empty: auth.algorithm

	// Lifetimes in seconds; 0: those of the server.
	AccessTokenLifetime  int `json:"access_token_lifetime,omitempty"`
	IDTokenLifetime      int `json:"id_token_lifetime,omitempty"`
	RefreshTokenLifetime int `json:"refresh_token_lifetime,omitempty"`
	RefreshReuseGrace    int `json:"refresh_reuse_grace_seconds"`

	AllowedOrigins []string         `json:"allowed_origins,omitempty"` // for CORS; none: those of the redirect URIs
	AllowedGroups  []string         `json:"allowed_groups,omitempty"`  // ids; only their members may sign in; none: all
	AllowedRoles   []string         `json:"allowed_roles,omitempty"`   // none: all
	Role           string           `json:"role,omitempty"`            // of client credentials and of the scope admin, at most
	Claims         map[string]Claim `json:"claims,omitempty"`          // custom claims by name

	Consent    bool `json:"consent"` // ask the user; a first-party client never does
	FirstParty bool `json:"first_party,omitempty"`

	BackchannelLogoutURI  string `json:"backchannel_logout_uri,omitempty"`
	FrontchannelLogoutURI string `json:"frontchannel_logout_uri,omitempty"`

	LogoURI   string `json:"logo_uri,omitempty"` // a data URI, never loaded from elsewhere
	PolicyURI string `json:"policy_uri,omitempty"`
	TOSURI    string `json:"tos_uri,omitempty"`
	ClientURI string `json:"client_uri,omitempty"`
}

// Claim is the source of a custom claim: one of the two.
type Claim struct {
	Path  string          `json:"path,omitempty"`  // into the user's metadata, such as admin.department
	Value json.RawMessage `json:"value,omitempty"` // constant
}

// constant reports whether the claim is one: null is no value of a claim (OpenID Connect
// Core 5.3.2).
func (c Claim) constant() bool { return len(c.Value) > 0 && string(c.Value) != "null" }

// Public reports whether the client cannot keep a secret.
func (c Client) Public() bool { return c.AuthMethod == AuthNone }

// Allows reports whether the client may use the grant type.
func (c Client) Allows(grantType string) bool { return slices.Contains(c.GrantTypes, grantType) }

// NeedsPKCE reports whether an authorization request of the client needs a code
// challenge (RFC 9700 section 2.1.1).
func (c Client) NeedsPKCE() bool { return c.RequirePKCE || c.Public() }

// HasSecret reports whether the client authenticates with a secret.
func (c Client) HasSecret() bool {
	return c.AuthMethod == AuthSecretBasic || c.AuthMethod == AuthSecretPost
}

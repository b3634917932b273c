package oidc

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/web"
)

const (
	openIDConfiguration = "/.well-known/openid-configuration"
	serverMetadata      = "/.well-known/oauth-authorization-server"
)

// discoveryRoutes are the metadata of OpenID Connect Discovery 4 and RFC 8414, one
// document. RFC 8414 section 3.1 puts the path of an issuer behind the well-known one;
// that address is not below the issuer, so no proxy that passes on the issuer's path
// alone leads there.
func (p *Provider) discoveryRoutes() []web.Route {
	document := func(path, id string) web.Route {
		return web.Route{
			Method: http.MethodGet, Pattern: path, ID: id, Access: web.Anonymous, Credential: web.NoCredential,
			Public: true, Handler: http.HandlerFunc(p.serveDiscovery),
		}
	}
	routes := []web.Route{document(openIDConfiguration, "discovery"), document(serverMetadata, "server_metadata")}
	if path := web.BasePath(p.issuer); path != "" {
		for _, route := range []web.Route{document(openIDConfiguration+path, "discovery_of_path"), document(serverMetadata+path, "server_metadata_of_path")} {
			route.RootOnly = true
			routes = append(routes, route)
		}
	}
	return routes
}

func (p *Provider) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	p.current().metadata.Serve(w, r, p.cachePublic())
}

// cachePublic is how long the document may be cached: like the keys, whose algorithms
// it lists.
func (p *Provider) cachePublic() []string {
	age := p.keys.MaxAge()
	if age == 0 {
		return []string{"no-cache"}
	}
	return []string{"public, max-age=" + strconv.Itoa(int(age.Seconds()))}
}

// published is the document for one state of the keys.
type published struct {
	state    *keyring.Published
	metadata web.Compressible
}

// current makes a new document when the keys have changed.
func (p *Provider) current() *published {
	state := p.keys.Published()
	if d := p.published.Load(); d != nil && d.state == state {
		return d
	}
	body, err := json.Marshal(p.describe(state.Algorithms()))
	if err != nil {
		panic(err) // strings
	}
	d := &published{state, web.NewCompressible("application/json", append(body, '\n'))}
	p.published.Store(d)
	return d
}

// metadata is the document. Of what is optional, it has what works.
type metadata struct {
	Issuer            string           `json:"issuer"`
	Authorization     string           `json:"authorization_endpoint,omitempty"`
	Token             string           `json:"token_endpoint,omitempty"`
	UserInfo          string           `json:"userinfo_endpoint,omitempty"`
	KeySet            string           `json:"jwks_uri"`
	Introspection     string           `json:"introspection_endpoint,omitempty"`
	Revocation        string           `json:"revocation_endpoint,omitempty"`
	EndSession        string           `json:"end_session_endpoint,omitempty"`
	Device            string           `json:"device_authorization_endpoint,omitempty"`
	ResponseTypes     []string         `json:"response_types_supported"`
	ResponseModes     []string         `json:"response_modes_supported,omitempty"`
	GrantTypes        []string         `json:"grant_types_supported,omitempty"`
	SubjectTypes      []string         `json:"subject_types_supported"`
	IDTokenAlgorithms []jose.Algorithm `json:"id_token_signing_alg_values_supported"`
	AuthMethods       []string         `json:"token_endpoint_auth_methods_supported,omitempty"`
	AuthAlgorithms    []jose.Algorithm `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	Challenges        []string         `json:"code_challenge_methods_supported,omitempty"`
	Scopes            []string         `json:"scopes_supported,omitempty"`
	Claims            []string         `json:"claims_supported,omitempty"`
	ClaimTypes        []string         `json:"claim_types_supported,omitempty"`
	ACRValues         []string         `json:"acr_values_supported,omitempty"`
	Displays          []string         `json:"display_values_supported,omitempty"`
	Prompts           []string         `json:"prompt_values_supported,omitempty"`
	Locales           []string         `json:"ui_locales_supported,omitempty"`

	IntrospectionAuthMethods    []string         `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectionAuthAlgorithms []jose.Algorithm `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationAuthMethods       []string         `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	RevocationAuthAlgorithms    []jose.Algorithm `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`

	ClaimsParameter     bool `json:"claims_parameter_supported"`
	RequestParameter    bool `json:"request_parameter_supported"`
	RequestURIParameter bool `json:"request_uri_parameter_supported"` // without it, true
	IssParameter        bool `json:"authorization_response_iss_parameter_supported,omitempty"`

	BackchannelLogout         bool `json:"backchannel_logout_supported,omitempty"`
	BackchannelLogoutSession  bool `json:"backchannel_logout_session_supported,omitempty"`
	FrontchannelLogout        bool `json:"frontchannel_logout_supported,omitempty"`
	FrontchannelLogoutSession bool `json:"frontchannel_logout_session_supported,omitempty"`
}

// describe returns the document for the algorithms of the main key set. An endpoint is
// in it if and only if it is served.
func (p *Provider) describe(algorithms []jose.Algorithm) metadata {
	m := metadata{
		Issuer: p.issuer, KeySet: p.address("/api/v1/auth/jwks"),
		ResponseTypes: []string{"code"}, SubjectTypes: []string{"public"}, IDTokenAlgorithms: algorithms,
	}
	for path, address := range map[string]*string{
		"/oauth2/authorize": &m.Authorization, "/oauth2/token": &m.Token, "/oauth2/userinfo": &m.UserInfo,
		"/oauth2/introspect": &m.Introspection, "/oauth2/revoke": &m.Revocation, "/oauth2/logout": &m.EndSession, "/oauth2/device": &m.Device,
	} {
		if slices.ContainsFunc(p.routes, func(rt web.Route) bool { return rt.Pattern == path }) {
			*address = p.address(path)
		}
	}
	confidential := []string{oauth.AuthSecretBasic, oauth.AuthSecretPost, oauth.AuthPrivateKeyJWT}
	all := append([]string{oauth.AuthNone}, confidential...)
	if m.Authorization != "" {
		m.ResponseModes, m.Challenges = []string{"query", "fragment", "form_post"}, []string{"S256"}
		m.GrantTypes = append(m.GrantTypes, oauth.GrantCode)
		m.ClaimsParameter, m.IssParameter = true, true
		m.ACRValues, m.Prompts = []string{identity.ACROneFactor}, []string{"none", "login", "consent", "select_account", "create"}
		m.Displays, m.Locales = []string{"page"}, p.pages.Locales
	}
	if m.Token != "" {
		m.GrantTypes = append(m.GrantTypes, oauth.GrantRefresh, oauth.GrantClientCredentials)
		m.AuthMethods, m.AuthAlgorithms = all, jose.Algorithms()
	}
	if m.Device != "" {
		m.GrantTypes = append(m.GrantTypes, oauth.GrantDevice)
	}
	if m.UserInfo != "" {
		m.Scopes, m.Claims, m.ClaimTypes = oauth.Scopes(), token.ClaimNames(), []string{"normal"}
	}
	if m.Introspection != "" {
		m.IntrospectionAuthMethods, m.IntrospectionAuthAlgorithms = confidential, jose.Algorithms()
	}
	if m.Revocation != "" {
		m.RevocationAuthMethods, m.RevocationAuthAlgorithms = all, jose.Algorithms()
	}
	if m.EndSession != "" {
		m.BackchannelLogout, m.BackchannelLogoutSession = true, true
		m.FrontchannelLogout, m.FrontchannelLogoutSession = true, true
	}
	return m
}

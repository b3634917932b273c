package httpapi

import (
	"maps"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

// The endpoints of the OpenID provider are package oidc's, which reads their forms and
// writes their responses itself. They are described here for the OpenAPI document alone;
// a test of package server compares that with what is served.

const (
	tagProvider = "provider"

	clientScheme      = "client_basic"
	clientTokenScheme = "client_bearer"

	formType = "application/x-www-form-urlencoded"
)

// providerEndpoint is an endpoint of the provider, for the OpenAPI document.
type providerEndpoint struct {
	method, path, id     string
	summary, description string

	params   []parameter // of the form of a POST, of the query of a GET
	security []map[string][]string
	response reflect.Type // nil: no JSON
	statuses map[string]string
	refusals map[int]string
}

// parameter is one of a form or a query.
type parameter struct {
	name, doc string
	required  bool
	values    []any // nil: any
}

// OAuthError is a refusal of the endpoints under /oauth2, RFC 6749 section 5.2.
type OAuthError struct {
	Code        string `json:"error" example:"invalid_request"`
	Description string `json:"error_description,omitempty" doc:"For the developer of the client. It may change; programs use error." example:"grant_type is missing"`
}

// TokenGrant is the response of the token endpoint, RFC 6749 section 5.1.
type TokenGrant struct {
	AccessToken  string `json:"access_token" doc:"A JWT of the type at+jwt (RFC 9068)."`
	TokenType    string `json:"token_type" example:"Bearer"`
	ExpiresIn    int64  `json:"expires_in" doc:"Seconds until the access token expires." example:"900"`
	RefreshToken string `json:"refresh_token,omitempty" doc:"Works once, at this endpoint and for this client only. It comes with a sign-in of a user, when the client has the grant refresh_token."`
	IDToken      string `json:"id_token,omitempty" doc:"A JWT that says who signed in; it comes with the scope openid."`
	Scope        string `json:"scope" doc:"What was granted; it may be less than what was asked for." example:"openid profile"`
}

// UserInfo is the response of the userinfo endpoint, OpenID Connect Core 5.3.2.
type UserInfo struct {
	_             struct{} `additionalProperties:"true"`
	Subject       string   `json:"sub" doc:"Id of the user; always that of the ID token."`
	Name          string   `json:"name,omitempty" doc:"With the scope profile, like the other claims of a profile."`
	Email         string   `json:"email,omitempty" doc:"With the scope email." example:"ada@example.com"`
	EmailVerified bool     `json:"email_verified,omitempty" doc:"With the scope email."`
	UserGroups    []string `json:"groups,omitempty" nullable:"false" doc:"Ids of the user's groups, with the scope groups."`
	UserRole      string   `json:"role,omitempty" enum:"viewer,operator,org_admin,superadmin" doc:"With the scope roles."`
	OrgID         string   `json:"org_id,omitempty" doc:"With the scope org."`
}

// Introspection is the response of the introspection endpoint, RFC 7662 section 2.2.
type Introspection struct {
	Active    bool   `json:"active" doc:"false, and nothing else, for a token that is not valid or not meant for the caller."`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	TokenType string `json:"token_type,omitempty" example:"Bearer"`
	Expires   int64  `json:"exp,omitempty" doc:"Seconds since 1970."`
	IssuedAt  int64  `json:"iat,omitempty" doc:"Seconds since 1970."`
	Subject   string `json:"sub,omitempty" doc:"Id of the user, or of the client when it acts for itself."`
	Audience  string `json:"aud,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	TokenID   string `json:"jti,omitempty"`
	AuthTime  int64  `json:"auth_time,omitempty" doc:"When the user was authenticated, in seconds since 1970 (RFC 9470)."`
	ACR       string `json:"acr,omitempty" doc:"How the user was authenticated (RFC 9470)."`
}

// DeviceAuthorization is the response to a device, RFC 8628 section 3.2.
type DeviceAuthorization struct {
	DeviceCode   string `json:"device_code"`
	UserCode     string `json:"user_code" doc:"For the user to type." example:"WDJB-MJHT"`
	URI          string `json:"verification_uri" doc:"Where to type it." example:"https://auth.example.com/device"`
	CompleteURI  string `json:"verification_uri_complete" doc:"The same with the code in it, as for a QR code."`
	ExpiresIn    int    `json:"expires_in" example:"600"`
	PollInterval int    `json:"interval" doc:"Seconds between two requests of the device to the token endpoint." example:"5"`
}

// ProviderMetadata is the discovery document: OpenID Connect Discovery 3 and RFC 8414
// section 2.
type ProviderMetadata struct {
	Issuer                  string   `json:"issuer" doc:"As in the claim iss." example:"https://auth.example.com"`
	Authorization           string   `json:"authorization_endpoint" example:"https://auth.example.com/oauth2/authorize"`
	Token                   string   `json:"token_endpoint" example:"https://auth.example.com/oauth2/token"`
	UserInfo                string   `json:"userinfo_endpoint"`
	KeySetURI               string   `json:"jwks_uri" doc:"Keys of single clients may be at /.well-known/jwks-pqc.json only." example:"https://auth.example.com/api/v1/auth/jwks"`
	Introspection           string   `json:"introspection_endpoint"`
	Revocation              string   `json:"revocation_endpoint"`
	EndSession              string   `json:"end_session_endpoint"`
	Device                  string   `json:"device_authorization_endpoint"`
	ResponseTypes           []string `json:"response_types_supported" nullable:"false" example:"[\"code\"]"`
	ResponseModes           []string `json:"response_modes_supported" nullable:"false"`
	GrantTypes              []string `json:"grant_types_supported" nullable:"false"`
	SubjectTypes            []string `json:"subject_types_supported" nullable:"false" example:"[\"public\"]"`
	IDTokenAlgorithms       []string `json:"id_token_signing_alg_values_supported" nullable:"false" example:"[\"RS256\"]"`
	AuthMethods             []string `json:"token_endpoint_auth_methods_supported" nullable:"false"`
	AuthAlgorithms          []string `json:"token_endpoint_auth_signing_alg_values_supported" nullable:"false" doc:"Of private_key_jwt."`
	IntrospectionMethods    []string `json:"introspection_endpoint_auth_methods_supported" nullable:"false"`
	IntrospectionAlgorithms []string `json:"introspection_endpoint_auth_signing_alg_values_supported" nullable:"false"`
	RevocationMethods       []string `json:"revocation_endpoint_auth_methods_supported" nullable:"false"`
	RevocationAlgorithms    []string `json:"revocation_endpoint_auth_signing_alg_values_supported" nullable:"false"`
	Challenges              []string `json:"code_challenge_methods_supported" nullable:"false" example:"[\"S256\"]"`
	Scopes                  []string `json:"scopes_supported" nullable:"false"`
	Claims                  []string `json:"claims_supported" nullable:"false"`
	ClaimTypes              []string `json:"claim_types_supported" nullable:"false"`
	ACRValues               []string `json:"acr_values_supported" nullable:"false"`
	Displays                []string `json:"display_values_supported" nullable:"false"`
	Prompts                 []string `json:"prompt_values_supported" nullable:"false"`
	Locales                 []string `json:"ui_locales_supported" nullable:"false"`
	ClaimsParameter         bool     `json:"claims_parameter_supported"`
	RequestParameter        bool     `json:"request_parameter_supported"`
	RequestURIParameter     bool     `json:"request_uri_parameter_supported"`
	IssParameter            bool     `json:"authorization_response_iss_parameter_supported" doc:"RFC 9207."`
	BackchannelLogout       bool     `json:"backchannel_logout_supported"`
	BackchannelSession      bool     `json:"backchannel_logout_session_supported"`
	FrontchannelLogout      bool     `json:"frontchannel_logout_supported"`
	FrontchannelSession     bool     `json:"frontchannel_logout_session_supported"`
}

// describeProvider adds the endpoints of the provider to the document.
func describeProvider(doc *huma.OpenAPI) {
	doc.Tags = append(doc.Tags, &huma.Tag{Name: tagProvider, Description: "OAuth 2.0 and OpenID Connect. Bodies are forms, unknown parameters are ignored, repeated ones are refused (but resource), and refusals have the form of RFC 6749."})
	maps.Copy(doc.Components.SecuritySchemes, map[string]*huma.SecurityScheme{
		clientScheme:      {Type: "http", Scheme: "basic", Description: "client_id and client_secret, each form-encoded (RFC 6749 section 2.3.1). Clients of another token_endpoint_auth_method authenticate in the form."},
		clientTokenScheme: {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "An access token of a client, with the scope openid."},
	})
	for _, e := range providerEndpoints() {
		describeEndpoint(doc, e)
	}
}

func describeEndpoint(doc *huma.OpenAPI, e providerEndpoint) {
	op := &huma.Operation{
		Method: e.method, Path: e.path, OperationID: e.id, Tags: []string{tagProvider},
		Summary: e.summary, Description: e.description, Security: e.security, Responses: map[string]*huma.Response{},
	}
	if op.Security == nil {
		op.Security = []map[string][]string{} // nil would leave it open
	}
	for status, meaning := range e.statuses {
		op.Responses[status] = &huma.Response{Description: meaning}
	}
	if e.response != nil {
		op.Responses["200"] = &huma.Response{
			Description: http.StatusText(http.StatusOK),
			Content:     map[string]*huma.MediaType{"application/json": {Schema: doc.Components.Schemas.Schema(e.response, true, "")}},
		}
	}
	refusal := doc.Components.Schemas.Schema(reflect.TypeFor[OAuthError](), true, "")
	for status, meaning := range e.refusals {
		headers := refusalHeaders(status)
		delete(headers, "RateLimit")
		delete(headers, "RateLimit-Policy")
		if status == http.StatusUnauthorized {
			headers["WWW-Authenticate"].Description = "Basic where the header Authorization was sent to authenticate a client; Bearer, as in RFC 6750, at userinfo."
		}
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: meaning, Headers: headers,
			Content: map[string]*huma.MediaType{"application/json": {Schema: refusal}},
		}
	}
	e.takes(op)
	doc.AddOperation(op)
}

// takes adds the parameters to the operation: as a form, or as a query.
func (e *providerEndpoint) takes(op *huma.Operation) {
	form := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}}
	for _, p := range e.params {
		schema := &huma.Schema{Type: huma.TypeString, Enum: p.values}
		if e.method == http.MethodGet {
			op.Parameters = append(op.Parameters, &huma.Param{Name: p.name, In: "query", Description: p.doc, Required: p.required, Schema: schema})
			continue
		}
		schema.Description = p.doc
		form.Properties[p.name] = schema
		if p.required {
			form.Required = append(form.Required, p.name)
		}
	}
	if e.method == http.MethodPost {
		op.RequestBody = &huma.RequestBody{Required: len(form.Required) > 0, Content: map[string]*huma.MediaType{formType: {Schema: form}}}
	}
}

// byClient are the refusals of an endpoint that authenticates a client, with what a 400
// means.
func byClient(invalid string) map[int]string {
	return map[int]string{
		http.StatusBadRequest:            invalid,
		http.StatusUnauthorized:          "`invalid_client`: unknown, suspended, or authenticated wrongly",
		http.StatusRequestEntityTooLarge: "`invalid_request`: more than 16 KiB",
		http.StatusUnsupportedMediaType:  "`invalid_request`: not a form",
		http.StatusTooManyRequests:       "`temporarily_unavailable`: too many failed attempts, tokens of one session or assertions; try again after `Retry-After`",
		http.StatusInternalServerError:   "`server_error`: the server is at fault; its log has the cause",
		http.StatusServiceUnavailable:    "`temporarily_unavailable`: try again after `Retry-After`",
	}
}

// credentials are the parameters by which a client authenticates in a form.
func credentials(more ...parameter) []parameter {
	return append(more,
		parameter{name: "client_id", doc: "Of a client that does not authenticate by the header Authorization."},
		parameter{name: "client_secret", doc: "Of client_secret_post."},
		parameter{name: "client_assertion_type", doc: "Of private_key_jwt.", values: []any{oauth.AssertionType}},
		parameter{name: "client_assertion", doc: "Of private_key_jwt: a JWT whose `aud` is the issuer or the token endpoint, valid for at most 5 minutes, used once."},
	)
}

package oauth

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ResponseMode is how an authorization response reaches the client.
type ResponseMode string

// The modes, OAuth 2.0 Multiple Response Types section 2.1 and OAuth 2.0 Form Post.
const (
	ModeQuery    ResponseMode = "query"
	ModeFragment ResponseMode = "fragment"
	ModeFormPost ResponseMode = "form_post"
)

// ResponseModes are those that work.
func ResponseModes() []ResponseMode { return []ResponseMode{ModeQuery, ModeFragment, ModeFormPost} }

// Values of prompt, OpenID Connect Core 3.1.2.1 and Initiating User Registration.
const (
	PromptNone          = "none"
	PromptLogin         = "login"
	PromptConsent       = "consent"
	PromptSelectAccount = "select_account"
	PromptCreate        = "create"
)

// Prompts are the values that work.
func Prompts() []string {
	return []string{PromptNone, PromptLogin, PromptConsent, PromptSelectAccount, PromptCreate}
}

// Destination is where the response to an authorization request goes. It is known
// before the rest of the request is valid, so that errors reach the client.
type Destination struct {
	ClientID     string       `json:"client_id"`
	RedirectURI  string       `json:"redirect_uri"`
	Implied      bool         `json:"implied,omitempty"` // the request named none, and the client has one
	ResponseMode ResponseMode `json:"response_mode"`
	State        string       `json:"state,omitempty"`
	UILocales    []string     `json:"ui_locales,omitempty"` // of the pages that lead there
}

// AuthorizationRequest is a valid authorization request, RFC 6749 section 4.1.1 and
// OpenID Connect Core 3.1.2.1. Its JSON is what is stored of it.
type AuthorizationRequest struct {
	Destination

	Scope         string         `json:"scope"` // separated by spaces, without what is ignored
	Nonce         string         `json:"nonce,omitempty"`
	CodeChallenge string         `json:"code_challenge,omitempty"` // S256; empty: none
	Resources     []string       `json:"resource,omitempty"`       // RFC 8707
	Prompt        []string       `json:"prompt,omitempty"`
	MaxAge        *int64         `json:"max_age,omitempty"` // in seconds; nil: any
	LoginHint     string         `json:"login_hint,omitempty"`
	IDTokenHint   string         `json:"-"`                // as received; never stored
	HintedUser    string         `json:"hinted,omitempty"` // the user that IDTokenHint is about, once it was verified
	ACRValues     []string       `json:"acr_values,omitempty"`
	ClaimsLocales []string       `json:"claims_locales,omitempty"`
	Display       string         `json:"display,omitempty"`
	Claims        *ClaimsRequest `json:"claims,omitempty"`
}

// Scopes are the values of Scope.
func (r AuthorizationRequest) Scopes() []string { return strings.Fields(r.Scope) }

// Prompts reports whether the request has the value of prompt.
func (r AuthorizationRequest) Prompts(value string) bool { return slices.Contains(r.Prompt, value) }

// known are the parameters that the server reads. Others are ignored (RFC 6749 section
// 3.1).
var known = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge",
	"code_challenge_method", "prompt", "max_age", "login_hint", "id_token_hint", "acr_values", "ui_locales",
	"claims_locales", "display", "claims", "request", "request_uri", "registration",
}

// ClientOf returns the client_id of an authorization request. An error is for a page:
// the client is not known.
func ClientOf(params url.Values) (string, error) {
	return single(params, "client_id")
}

// DestinationOf returns where the response goes. An error is for a page, and never for
// the redirect URI, which is not proved (RFC 6749 section 4.1.2.1).
func DestinationOf(params url.Values, c Client) (Destination, error) {
	d := Destination{ClientID: c.ID, ResponseMode: modeOf(params), UILocales: strings.Fields(params.Get("ui_locales"))}
	uri, err := single(params, "redirect_uri")
	switch {
	case len(params["redirect_uri"]) > 1:
		return d, err
	case err == nil && !c.RedirectURI(uri):
		return d, Refuse(InvalidRequest, "redirect_uri is not one of the redirect_uris of the client")
	case err == nil:
		d.RedirectURI = uri
	case len(c.RedirectURIs) != 1 || slices.Contains(strings.Fields(params.Get("scope")), ScopeOpenID):
		return d, err // OpenID Connect Core 3.1.2.1 always requires it
	default:
		d.RedirectURI, d.Implied = c.RedirectURIs[0], true
	}
	if state := params["state"]; len(state) == 1 && storable(state[0]) {
		d.State = state[0]
	}
	return d, nil
}

// modeOf is the response mode of the request; of an invalid one, that of its response
// type, so that the error reaches the client.
func modeOf(params url.Values) ResponseMode {
	all := params["response_mode"]
	if len(all) == 0 {
		all = []string{modeInObject(params.Get("request"))}
	}
	if len(all) == 1 && slices.Contains(ResponseModes(), ResponseMode(all[0])) {
		return ResponseMode(all[0])
	}
	for kind := range strings.FieldsSeq(params.Get("response_type")) {
		if kind == "token" || kind == "id_token" {
			return ModeFragment
		}
	}
	return ModeQuery
}

// modeInObject is the response mode in a request object. Such a request is refused, and
// its client expects the refusal in this mode (OpenID Connect Core 6.1). The signature is
// not checked: a mode in the query is not signed either.
func modeInObject(object string) string {
	parts := strings.Split(object, ".")
	if len(parts) != 3 {
		return ""
	}
	var inside struct {
		ResponseMode string `json:"response_mode"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &inside) != nil {
		return ""
	}
	return inside.ResponseMode
}

// ParseAuthorization validates the parameters of an authorization request of the client
// for the destination. issuer is an audience of every client that has no other. An error
// is for the client.
func ParseAuthorization(params url.Values, c Client, d Destination, issuer string) (AuthorizationRequest, error) {
	r := AuthorizationRequest{Destination: d}
	for _, check := range []func() error{
		func() error { return checkParameters(params) },
		func() error { return checkResponse(params, c) },
		func() error { return r.readPKCE(params, c) },
		func() error { return r.readScope(params, c) },
		func() error { return r.readResources(params, c, issuer) },
		func() error { return r.readPrompt(params) },
		func() error { return r.readClaims(params) },
	} {
		if err := check(); err != nil {
			return AuthorizationRequest{}, err
		}
	}
	r.Nonce, r.LoginHint, r.IDTokenHint = params.Get("nonce"), params.Get("login_hint"), params.Get("id_token_hint")
	r.ACRValues = strings.Fields(params.Get("acr_values"))
	r.ClaimsLocales = strings.Fields(params.Get("claims_locales"))
	r.Display = params.Get("display")
	return r, nil
}

// checkParameters refuses what no request may have.
func checkParameters(params url.Values) error {
	for _, name := range known {
		if len(params[name]) > 1 {
			return Refuse(InvalidRequest, "the parameter "+name+" is repeated")
		}
		if !storable(params.Get(name)) {
			return Refuse(InvalidRequest, "the parameter "+name+" is not valid UTF-8 text")
		}
	}
	switch { // OpenID Connect Core 3.1.2.6
	case params.Get("request") != "":
		return Refuse(RequestNotSupported, "the parameter request is not supported")
	case params.Get("request_uri") != "":
		return Refuse(RequestURINotSupported, "the parameter request_uri is not supported")
	case params.Get("registration") != "":
		return Refuse(RegistrationNotSupported, "the parameter registration is not supported")
	}
	return nil
}

func checkResponse(params url.Values, c Client) error {
	mode := params.Get("response_mode")
	switch kind := params.Get("response_type"); {
	case kind == "":
		return Refuse(InvalidRequest, "response_type is missing")
	case kind != "code":
		return Refuse(UnsupportedResponseType, "response_type must be code")
	case mode != "" && !slices.Contains(ResponseModes(), ResponseMode(mode)):
		return Refuse(InvalidRequest, "response_mode must be query, fragment or form_post")
	case !c.Allows(GrantCode):
		return Refuse(UnauthorizedClient, "the client does not have the grant type authorization_code")
	default:
		return nil
	}
}

func (r *AuthorizationRequest) readPKCE(params url.Values, c Client) error {
	challenge, method := params.Get("code_challenge"), params.Get("code_challenge_method")
	switch {
	case challenge == "" && method != "":
		return Refuse(InvalidRequest, "code_challenge is missing")
	case challenge == "" && c.NeedsPKCE():
		return Refuse(InvalidRequest, "code_challenge is missing: the client must use PKCE (RFC 7636)")
	case challenge == "":
		return nil
	case method != "S256": // the default of RFC 7636 is plain
		return Refuse(InvalidRequest, "code_challenge_method must be S256")
	case !validChallenge(challenge):
		return Refuse(InvalidRequest, "code_challenge must be 43 characters of base64url")
	}
	r.CodeChallenge = challenge
	return nil
}

// readResources reads the audiences that tokens are asked for, RFC 8707 section 2.
func (r *AuthorizationRequest) readResources(params url.Values, c Client, issuer string) error {
	for _, resource := range params["resource"] {
		if resource == "" {
			continue
		}
		if !c.HasAudience(resource, issuer) {
			return Refuse(InvalidTarget, "resource is not one of the audiences of the client")
		}
		if !slices.Contains(r.Resources, resource) {
			r.Resources = append(r.Resources, resource)
		}
	}
	if others := slices.ContainsFunc(r.Resources, func(one string) bool { return one != issuer }); others && servesAPI(r.Scopes()) {
		return Refuse(InvalidTarget, "the scopes account and admin are for tokens of this server only")
	}
	return nil
}

func (r *AuthorizationRequest) readPrompt(params url.Values) error {
	r.Prompt = strings.Fields(params.Get("prompt"))
	for _, value := range r.Prompt {
		if !slices.Contains(Prompts(), value) {
			return Refuse(InvalidRequest, "prompt has a value that is not supported")
		}
	}
	if len(r.Prompt) > 1 && r.Prompts(PromptNone) {
		return Refuse(InvalidRequest, "prompt has none and another value")
	}
	if text := params.Get("max_age"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil || seconds < 0 {
			return Refuse(InvalidRequest, "max_age must be a number of seconds")
		}
		r.MaxAge = &seconds
	}
	return nil
}

func (r *AuthorizationRequest) readClaims(params url.Values) error {
	text := params.Get("claims")
	if text == "" {
		return nil
	}
	claims, err := ParseClaims(text)
	if err != nil {
		return err
	}
	r.Claims = claims
	return nil
}

// single returns a required parameter.
func single(params url.Values, name string) (string, error) {
	switch all := params[name]; {
	case len(all) == 0 || len(all) == 1 && all[0] == "":
		return "", Refuse(InvalidRequest, name+" is missing")
	case len(all) > 1:
		return "", Refuse(InvalidRequest, "the parameter "+name+" is repeated")
	case !storable(all[0]):
		return "", Refuse(InvalidRequest, "the parameter "+name+" is not valid UTF-8 text")
	default:
		return all[0], nil
	}
}

func storable(text string) bool { return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 }

// OfCode returns what the exchange of a code needs of its request, RFC 6749 section 4.1.3.
func (r AuthorizationRequest) OfCode() AuthorizationRequest {
	of := r.OfUsedCode()
	of.Scope, of.Nonce, of.Resources, of.Claims = r.Scope, r.Nonce, r.Resources, r.Claims
	return of
}

// OfUsedCode returns what proves a second use of a code: that it is presented as by its
// client. The languages are those of the page for a user who opens the request once more; no
// tag has more than 35 characters (RFC 5646 section 4.4.1).
func (r AuthorizationRequest) OfUsedCode() AuthorizationRequest {
	locales := slices.DeleteFunc(slices.Clone(r.UILocales), func(tag string) bool { return len(tag) > 35 })
	return AuthorizationRequest{
		Destination:   Destination{ClientID: r.ClientID, RedirectURI: r.RedirectURI, Implied: r.Implied, UILocales: locales[:min(len(locales), 3)]},
		CodeChallenge: r.CodeChallenge,
	}
}

// Encode returns what is stored of the request.
func (r AuthorizationRequest) Encode() string {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // texts and numbers only
	}
	return string(text)
}

package httpapi

import (
	"maps"
	"net/http"
	"reflect"
	"slices"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

// providerEndpoints describes every endpoint of the provider that clients know.
func providerEndpoints() []providerEndpoint {
	return slices.Concat(discoveryEndpoints(), authorizationEndpoints(), tokenEndpoints(), userInfoEndpoints(), logoutEndpoints())
}

func discoveryEndpoints() []providerEndpoint {
	const description = "The addresses of the endpoints and what they support; an endpoint is listed if and only if it is served. Cache it no longer than Cache-Control says. Behind an issuer with a path, the document is also at the address of RFC 8414 section 3.1."
	document := func(path, id, summary string) providerEndpoint {
		return providerEndpoint{
			method: http.MethodGet, path: path, id: id, summary: summary, description: description,
			response: reflect.TypeFor[ProviderMetadata](), statuses: map[string]string{"304": "`If-None-Match` names the current document"},
			refusals: map[int]string{http.StatusInternalServerError: "`server_error`: the server is at fault; its log has the cause"},
		}
	}
	return []providerEndpoint{
		document("/.well-known/openid-configuration", "discovery", "Discovery"),
		document("/.well-known/oauth-authorization-server", "server_metadata", "Discovery, as OAuth 2.0 names it"),
	}
}

func authorizationEndpoints() []providerEndpoint {
	params := []parameter{
		{name: "response_type", required: true, values: []any{"code"}},
		{name: "client_id", required: true},
		{name: "redirect_uri", doc: "One of those registered; it may be omitted without the scope openid when there is only one."},
		{name: "scope", doc: "Separated by spaces. Unknown ones are ignored.", required: true},
		{name: "state", doc: "Is in the response, unchanged."},
		{name: "response_mode", values: []any{"query", "fragment", "form_post"}},
		{name: "code_challenge", doc: "PKCE (RFC 7636). Public clients need it, and others unless `require_pkce` is off."},
		{name: "code_challenge_method", values: []any{"S256"}},
		{name: "nonce", doc: "Is in the ID token."},
		{name: "prompt", doc: "Separated by spaces: none, login, consent, select_account, create."},
		{name: "max_age", doc: "The user must have been authenticated so many seconds ago at most."},
		{name: "login_hint", doc: "Fills in the address."},
		{name: "id_token_hint", doc: "An ID token of the client for the user, expired or not."},
		{name: "acr_values"},
		{name: "ui_locales", doc: "Languages of the pages."},
		{name: "claims_locales"},
		{name: "display"},
		{name: "claims", doc: "Single claims by name (OpenID Connect Core 5.5), JSON."},
		{name: "resource", doc: "An audience registered for the client (RFC 8707)."},
	}
	endpoint := func(method, id, summary, description string, statuses map[string]string) providerEndpoint {
		refusals := map[int]string{
			http.StatusBadRequest:          "`invalid_request`, `invalid_client`: the client or its redirect URI is not known, or the request is malformed. A browser gets a page. Every other error goes to the client's redirect URI, with `error`, `state` and `iss`; after too many codes of one user it is `temporarily_unavailable`",
			http.StatusTooManyRequests:     "Too many requests of one network",
			http.StatusInternalServerError: "`server_error`: the server is at fault; its log has the cause",
			http.StatusNotImplemented:      "`auth.issuer` is http beyond loopback, where browsers cannot sign in",
			http.StatusServiceUnavailable:  "`temporarily_unavailable`: try again after `Retry-After`",
		}
		if method == http.MethodPost {
			refusals[http.StatusRequestEntityTooLarge] = "More than 16 KiB"
			refusals[http.StatusUnsupportedMediaType] = "Not a form"
		}
		return providerEndpoint{
			method: method, path: "/oauth2/authorize", id: id, summary: summary, description: description,
			params: params, statuses: statuses, refusals: refusals,
		}
	}
	return []providerEndpoint{
		endpoint(http.MethodGet, "authorize", "Sign a user in",
			"For browsers: RFC 6749 section 4.1.1 and OpenID Connect Core 3.1.2.1. `request`, `request_uri` and `registration` are not supported.",
			map[string]string{"200": "A page that sends the browser to the client with the response", "303": "To a page of this server, or to the client's redirect URI with `code`, `state` and `iss`"}),
		endpoint(http.MethodPost, "authorize_by_form", "Sign a user in, by a form of another site",
			"The same as GET. No cookie is read.", map[string]string{"303": "To the same step by GET, or to the client's redirect URI"}),
	}
}

func tokenEndpoints() []providerEndpoint {
	token := providerEndpoint{
		method: http.MethodPost, path: "/oauth2/token", id: "token", summary: "Get tokens",
		description: "RFC 6749 section 3.2. Which parameters are needed depends on `grant_type`.",
		params: credentials(
			parameter{name: "grant_type", required: true, values: []any{oauth.GrantCode, oauth.GrantRefresh, oauth.GrantClientCredentials, oauth.GrantDevice}},
			parameter{name: "code", doc: "Of authorization_code: valid for 60 seconds, used once."},
			parameter{name: "redirect_uri", doc: "Of authorization_code: as in the authorization request."},
			parameter{name: "code_verifier", doc: "Of authorization_code, when there was a code_challenge."},
			parameter{name: "refresh_token", doc: "Of refresh_token."},
			parameter{name: "device_code", doc: "Of the device grant."},
			parameter{name: "scope", doc: "Of refresh_token and client_credentials: less than what was granted, or registered."},
			parameter{name: "resource", doc: "An audience registered for the client (RFC 8707), at most one."},
		),
		response: reflect.TypeFor[TokenGrant](),
		refusals: byClient("`invalid_request`, `invalid_grant`, `unauthorized_client`, `unsupported_grant_type`, `invalid_scope`, `invalid_target`; of a device also `authorization_pending`, `slow_down`, `expired_token`, `access_denied`"),
	}
	device := providerEndpoint{
		method: http.MethodPost, path: "/oauth2/device", id: "device_authorization", summary: "Start the sign-in of a device",
		description: "RFC 8628 section 3.1: shows the user a code to type at another device. The client needs the device grant.",
		params:      credentials(parameter{name: "scope", doc: "Separated by spaces."}, parameter{name: "resource", doc: "As at the token endpoint."}),
		response:    reflect.TypeFor[DeviceAuthorization](),
		refusals:    byClient("`invalid_request`, `unauthorized_client`, `invalid_scope`, `invalid_target`"),
	}
	revoke := providerEndpoint{
		method: http.MethodPost, path: "/oauth2/revoke", id: "revoke", summary: "Revoke a token",
		description: "RFC 7009. Either token of a sign-in ends both. The response is the same for a token that is unknown or another client's.",
		params:      credentials(parameter{name: "token", required: true, doc: "A refresh token or an access token."}, parameter{name: "token_type_hint", doc: "Not needed."}),
		statuses:    map[string]string{"200": "The token is not valid any more"},
		refusals:    byClient("`invalid_request`"),
	}
	introspect := providerEndpoint{
		method: http.MethodPost, path: "/oauth2/introspect", id: "introspect", summary: "Ask whether an access token is valid now",
		description: "RFC 7662, for confidential clients and service tokens. A client learns of tokens that were issued to it or for one of its audiences, if it is of an organization only of those of that; a service token of those of its organization.",
		params:      credentials(parameter{name: "token", required: true, doc: "An access token."}, parameter{name: "token_type_hint", doc: "Not needed."}),
		response:    reflect.TypeFor[Introspection](),
		refusals:    byClient("`invalid_request`"),
	}
	introspect.refusals[http.StatusUnauthorized] += "; `invalid_token`: the service token is not valid"
	all := []providerEndpoint{token, device, revoke, introspect}
	for i := range all {
		all[i].security = []map[string][]string{{clientScheme: {}}, {}}
	}
	all[3].security = []map[string][]string{{clientScheme: {}}, {serviceScheme: {}}, {}}
	return all
}

func userInfoEndpoints() []providerEndpoint {
	get := providerEndpoint{
		method: http.MethodGet, path: "/oauth2/userinfo", id: "userinfo", summary: "The claims of the user",
		description: "OpenID Connect Core 5.3: the claims of the token's scope, of the parameter `claims`, and the client's custom ones, as the user is now.",
		security:    []map[string][]string{{clientTokenScheme: {}}}, response: reflect.TypeFor[UserInfo](),
		refusals: map[int]string{
			http.StatusBadRequest:          "`invalid_request`: more than one access token",
			http.StatusUnauthorized:        "`invalid_token`: missing, expired, revoked, or of a user or client that may not use it any more",
			http.StatusForbidden:           "`insufficient_scope`: the access token lacks the scope openid",
			http.StatusInternalServerError: "`server_error`: the server is at fault; its log has the cause",
			http.StatusServiceUnavailable:  "`temporarily_unavailable`: try again after `Retry-After`",
		},
	}
	post := get
	post.method, post.id, post.summary = http.MethodPost, "userinfo_post", "The claims of the user, by POST"
	post.description = "The same; the access token may be in the form instead (RFC 6750 section 2.2)."
	post.params = []parameter{{name: "access_token", doc: "Where there is no header Authorization."}}
	post.security = []map[string][]string{{clientTokenScheme: {}}, {}}
	post.refusals = maps.Clone(get.refusals)
	post.refusals[http.StatusRequestEntityTooLarge] = "`invalid_request`: more than 16 KiB"
	post.refusals[http.StatusUnsupportedMediaType] = "`invalid_request`: not a form"
	return []providerEndpoint{get, post}
}

func logoutEndpoints() []providerEndpoint {
	params := []parameter{
		{name: "id_token_hint", doc: "An ID token of the client for the present session, expired or not. Without it the user is asked, and stays here."},
		{name: "client_id"},
		{name: "post_logout_redirect_uri", doc: "One of those registered."},
		{name: "state", doc: "Is in the response, unchanged."},
		{name: "logout_hint", doc: "Ignored."},
		{name: "ui_locales", doc: "Languages of the pages."},
	}
	refusals := map[int]string{
		http.StatusBadRequest:          "`invalid_request`: the request is malformed. A browser gets a page",
		http.StatusInternalServerError: "`server_error`: the server is at fault; its log has the cause",
		http.StatusNotImplemented:      "`auth.issuer` is http beyond loopback, where browsers cannot sign in",
		http.StatusServiceUnavailable:  "`temporarily_unavailable`: try again after `Retry-After`",
	}
	get := providerEndpoint{
		method: http.MethodGet, path: "/oauth2/logout", id: "rp_logout", summary: "Sign a user out",
		description: "For browsers: OpenID Connect RP-Initiated Logout 1.0. Every client that the user signed in to is told, by back-channel and front-channel logout.",
		params:      params, refusals: refusals,
		statuses: map[string]string{"200": "A page: signed out, or the question whether to sign out", "303": "To the client's `post_logout_redirect_uri`"},
	}
	post := get
	post.method, post.id, post.summary, post.description = http.MethodPost, "rp_logout_by_form", "Sign a user out, by a form of another site", "The same as GET. No cookie is read."
	post.statuses = map[string]string{"303": "To the same request by GET"}
	post.refusals = map[int]string{http.StatusRequestEntityTooLarge: "More than 16 KiB", http.StatusUnsupportedMediaType: "Not a form"}
	for status, meaning := range refusals {
		if status != http.StatusNotImplemented {
			post.refusals[status] = meaning
		}
	}
	return []providerEndpoint{get, post}
}

package oauth

import (
	"net/url"
	"strings"
)

// AuthorizationResponse is what the browser brings to the client.
type AuthorizationResponse struct {
	Destination
	Params url.Values
}

// Granted is the response with a code, RFC 6749 section 4.1.2. iss is in every response
// (RFC 9207 section 2).
func (d Destination) Granted(issuer, code string) AuthorizationResponse {
	return d.respond(issuer, url.Values{"code": {code}})
}

// Refused is the response with an error, RFC 6749 section 4.1.2.1.
func (d Destination) Refused(issuer string, e *Error) AuthorizationResponse {
	params := url.Values{"error": {string(e.Code)}}
	if e.Description != "" {
		params.Set("error_description", e.Description)
	}
	return d.respond(issuer, params)
}

func (d Destination) respond(issuer string, params url.Values) AuthorizationResponse {
	params.Set("iss", issuer)
	if d.State != "" {
		params.Set("state", d.State)
	}
	return AuthorizationResponse{Destination: d, Params: params}
}

// Location is the address of a response by query or fragment. The query of the redirect
// URI is retained (RFC 6749 section 3.1.2).
func (r AuthorizationResponse) Location() string {
	separator := "?"
	switch {
	case r.ResponseMode == ModeFragment:
		separator = "#"
	case strings.HasSuffix(r.RedirectURI, "?"):
		separator = ""
	case strings.Contains(r.RedirectURI, "?"):
		separator = "&"
	}
	return r.RedirectURI + separator + r.Params.Encode()
}

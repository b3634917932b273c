package oidc

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/web"
)

// resourceRoutes are the endpoints that take an access token as what they decide by, or
// about.
func (p *Provider) resourceRoutes() []web.Route {
	userinfo := form("/userinfo", "userinfo_post", web.Bearer, p.serveUserInfo)
	byGet := userinfo
	byGet.Method, byGet.ID, byGet.MaxBody = http.MethodGet, "userinfo", 0
	routes := []web.Route{byGet, userinfo, form("/revoke", "revoke", web.ClientSecret, p.serveRevoke)}
	for i := range routes {
		routes[i].OfClients = true
	}
	return append(routes, form("/introspect", "introspect", web.ClientSecret|web.Bearer, p.serveIntrospect))
}

// errNoToken refuses a request to a protected resource that has no access token.
var errNoToken = oauth.Refuse(oauth.InvalidToken, "an access token is required")

// bearerToken is the access token of a request: in the header Authorization, or in the
// form of a POST (RFC 6750 sections 2.1 and 2.2). One in the query is ignored: it would
// end in logs.
func bearerToken(w http.ResponseWriter, r *http.Request) (string, error) {
	var values url.Values
	if r.Method == http.MethodPost && r.ContentLength != 0 && r.Header.Get("Content-Type") != "" {
		var err error
		if values, err = readForm(w, r); err != nil {
			return "", err
		}
	}
	inForm, headers := values.Get("access_token"), r.Header["Authorization"]
	switch {
	case len(headers) > 1 || len(headers) == 1 && inForm != "":
		return "", oauth.Refuse(oauth.InvalidRequest, "the request has more than one access token")
	case inForm != "":
		return inForm, nil
	case len(headers) == 0:
		return "", errNoToken
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if token = strings.TrimLeft(token, " "); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errNoToken
	}
	return token, nil
}

// errInvalidToken refuses an access token that does not verify, has expired, was
// revoked, or whose user or client may not use it any more.
var errInvalidToken = oauth.Refuse(oauth.InvalidToken, "the access token is not valid")

// isInvalid reports whether err says only that a token is not valid.
func isInvalid(err error) bool {
	no := refusalOf(err)
	return err != nil && no.Code == oauth.InvalidToken && !errors.Is(err, errNoToken)
}

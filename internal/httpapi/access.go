package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/web"
	"github.com/pico-auth/pico-auth/picoauth"
)

// caller is the caller of an endpoint, once the route's rule has admitted it.
type caller struct {
	actor   identity.Actor
	role    identity.Role  // of the user or service token, as the database has it now
	user    *identity.User // as the database has it now; nil without a user's token
	groups  token.Groups   // of the user; of a UserProfile route
	refused error          // of a UserOrRefresh route: why the access token was refused
}

type callerKey struct{}

// callerFrom returns the caller that admit has admitted, or the unknown one of an
// anonymous route.
func callerFrom(ctx context.Context) *caller {
	if by, ok := ctx.Value(callerKey{}).(*caller); ok {
		return by
	}
	return &caller{actor: web.Actor(ctx)}
}

// errClientToken refuses the access tokens that clients and service tokens obtained
// for other services, and of those for this API the ones whose scope does not cover
// the route: a client that a user signs in to could administer this server with it.
var errClientToken = &picoauth.Refusal{
	Status: http.StatusForbidden, Code: picoauth.CodeInsufficientScope, Detail: "the access token was issued for other purposes than this",
}

// errServiceToken says at an endpoint about the own account that a service token has
// none, whether the token is valid or not.
var errServiceToken = &picoauth.Refusal{
	Status: http.StatusUnauthorized, Code: picoauth.CodeInvalidToken, Detail: "a service token has no account; this needs the access token of a user",
}

// admit is the Authorize of the API's routes: the request it returns carries
// the caller.
func (a *API) admit(r *http.Request, rule web.Access) (*http.Request, error) {
	by, err := a.authorize(r, rule)
	if err != nil {
		return nil, err
	}
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, by)), nil
}

// authorize returns the caller, or why it is refused.
func (a *API) authorize(r *http.Request, rule web.Access) (*caller, error) {
	switch rule {
	case web.User:
		return a.authenticate(r, notClients)
	case web.Account:
		return a.authenticate(r, oauth.ScopeAccount)
	case web.UserProfile:
		return a.authenticateWith(r, oauth.ScopeAccount, a.tokens.ProfileBearer)
	case web.OrgAdmin:
		return a.authenticateRole(r, identity.OrgAdmin)
	case web.Superadmin:
		return a.authenticateRole(r, identity.Superadmin)
	case web.UserOrService:
		return a.authenticateAny(r)
	case web.Service:
		by, err := a.authenticateAny(r)
		if err == nil && by.actor.Kind != identity.ActorServiceToken {
			return nil, identity.ErrForbidden
		}
		return by, err
	case web.UserOrRefresh:
		by, err := a.authenticate(r, notClients)
		if err != nil {
			by = &caller{actor: web.Actor(r.Context()), refused: err}
		}
		return by, nil
	default:
		return nil, identity.ErrForbidden
	}
}

// notClients is the scope of a route that no client may call.
const notClients = ""

// authenticate takes the user's id from the access token, and the rest from the
// database: role, organization and status may have changed since it was signed. scope
// is what a client's token needs.
func (a *API) authenticate(r *http.Request, scope string) (*caller, error) {
	return a.authenticateWith(r, scope, func(ctx context.Context, p token.Presented) (*identity.User, token.Groups, error) {
		u, err := a.tokens.Bearer(ctx, p)
		return u, token.Groups{}, err
	})
}

func (a *API) authenticateWith(
	r *http.Request, scope string, bearer func(context.Context, token.Presented) (*identity.User, token.Groups, error),
) (*caller, error) {
	claims, err := a.guard.Authenticate(r)
	switch {
	case err != nil:
		return a.authenticateClient(r, scope, err)
	case claims.ClientID != "":
		return a.authenticateClient(r, scope, errClientToken)
	}
	user, groups, err := bearer(r.Context(), token.Presented{UserID: claims.Subject, SessionID: claims.SessionID, ID: claims.TokenID})
	if err != nil {
		return nil, err
	}
	by := &caller{actor: web.Actor(r.Context()).AsUser(user.ID), role: user.Role, user: user, groups: groups}
	by.actor.SessionID, by.actor.TokenID = claims.SessionID, claims.TokenID
	return by, nil
}

// authenticateClient decides about a request whose token is not one of the JSON login;
// refused is why. Only a client's token for this server with the scope is accepted.
func (a *API) authenticateClient(r *http.Request, scope string, refused error) (*caller, error) {
	presented, ok := bearerToken(r)
	switch {
	case !ok:
		return nil, refused
	case strings.HasPrefix(presented, token.ServiceTokenPrefix):
		return nil, errServiceToken
	}
	t, err := a.tokens.Verify(r.Context(), presented)
	switch {
	case err != nil && !isInvalidToken(err):
		return nil, err
	case err != nil || t.ClientID == "":
		return nil, refused
	case t.Audience != a.issuer || scope == notClients || !slices.Contains(strings.Fields(t.Scope), scope):
		return nil, errClientToken
	}
	h, err := a.tokens.Holder(r.Context(), t)
	if err != nil {
		return nil, err
	}
	if h.Client.ID == "" || h.User.ID == "" && scope == oauth.ScopeAccount {
		return nil, errClientToken
	}
	by := &caller{actor: web.Actor(r.Context()).AsClient(h.Client.ID, h.User.ID), role: h.Role(), user: &h.User, groups: a.tokens.GroupsOf(h)}
	by.actor.SessionID, by.actor.TokenID = t.SessionID, t.ID
	return by, nil
}

// authenticateAny accepts an access token or a service token. Which of its objects a
// service token may read and change is decided in the transaction, as for a user.
func (a *API) authenticateAny(r *http.Request) (*caller, error) {
	secret, ok := bearerToken(r)
	if !ok || !strings.HasPrefix(secret, token.ServiceTokenPrefix) {
		return a.authenticate(r, oauth.ScopeAdmin)
	}
	by := &caller{actor: web.Actor(r.Context())}
	t, err := a.tokens.ValidateServiceToken(r.Context(), by.actor, secret)
	if err != nil {
		return nil, err
	}
	by.role = t.Role
	by.actor.Kind, by.actor.ID = identity.ActorServiceToken, t.ID
	return by, nil
}

func (a *API) authenticateRole(r *http.Request, least identity.Role) (*caller, error) {
	by, err := a.authenticateAny(r)
	if err != nil {
		return nil, err
	}
	if !by.role.AtLeast(least) {
		audit.Denied(r.Context(), a.log, by.actor, r.Pattern)
		return nil, identity.ErrForbidden
	}
	return by, nil
}

// bearerToken returns the access token or service token of the request, if it has one.
// Anything else is left to the guard to refuse.
func bearerToken(r *http.Request) (string, bool) {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return "", false
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	return secret, strings.EqualFold(scheme, "Bearer")
}

// isInvalidToken reports whether err says only that a token is not valid.
func isInvalidToken(err error) bool { return errors.Is(err, identity.ErrInvalidToken) }

// checkPathValues refuses invalid ids and names as not found. values are the
// names of the pattern's wildcards.
func checkPathValues(r *http.Request, values []string) error {
	for _, name := range values {
		value := r.PathValue(name)
		ok := identity.ValidID(value)
		if name == "name" {
			ok = value != "" && identity.Storable(value)
		}
		if !ok {
			return web.ErrNotFound
		}
	}
	return nil
}

// checkQuery checks the parameters that the route knows: each may occur once,
// and not empty, since an empty filter would list everything. Others are
// ignored, as in the original: proxies and trackers add their own.
func checkQuery(r *http.Request, known []string) error {
	if r.URL.RawQuery == "" || len(known) == 0 {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		p := newProblem(http.StatusUnprocessableEntity, "validation_failed", "the query is not well formed")
		p.Errors = []fieldProblem{{Location: "query", Message: p.Detail}}
		return p
	}
	for _, name := range known {
		values, there := query[name]
		switch {
		case !there:
		case len(values) > 1:
			return fault.BadField(name, name+" must occur once")
		case values[0] == "":
			return fault.BadField(name, name+" must not be empty")
		case !utf8.ValidString(values[0]):
			return fault.BadField(name, name+" must be valid UTF-8")
		}
	}
	return nil
}

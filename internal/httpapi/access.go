package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/token"
)

// Access is the rule of a route: who may call it at all. What they may do to
// whom is decided again in the transaction that does it. The zero value is no
// rule, and no route may have it.
type Access uint8

// The rules.
const (
	undeclared      Access = iota
	Anonymous              // anyone
	Bearer                 // a person who can sign in
	OrgAdmin               // a person who is org_admin or stronger
	Superadmin             // a person who is superadmin
	BearerOrService        // a person who can sign in, or a service token
	BearerOrRefresh        // a person who can sign in, or a refresh token in the body
)

// String names the rule.
func (a Access) String() string {
	switch a {
	case Anonymous:
		return "anonymous"
	case Bearer:
		return "bearer"
	case OrgAdmin:
		return "org_admin"
	case Superadmin:
		return "superadmin"
	case BearerOrService:
		return "bearer or service token"
	case BearerOrRefresh:
		return "bearer or refresh token"
	default:
		return "undeclared"
	}
}

// serviceTokenPrefix tells a service token from an access token.
const serviceTokenPrefix = "pico_svc_"

// authorize returns who calls, or why they may not.
func (a *API) authorize(r *http.Request, rule Access) (caller, error) {
	switch rule {
	case Anonymous:
		return caller{actor: anonymous(r)}, nil
	case Bearer:
		return a.authenticate(r)
	case OrgAdmin:
		return a.authenticateRole(r, identity.OrgAdmin)
	case Superadmin:
		return a.authenticateRole(r, identity.Superadmin)
	case BearerOrService:
		if secret, ok := serviceToken(r); ok {
			_, err := a.tokens.ValidateServiceToken(r.Context(), secret)
			return caller{actor: anonymous(r)}, err
		}
		return a.authenticate(r)
	case BearerOrRefresh:
		who, err := a.authenticate(r)
		if err != nil {
			who = caller{actor: anonymous(r), refused: err}
		}
		return who, nil
	default:
		return caller{}, identity.ErrForbidden
	}
}

func anonymous(r *http.Request) identity.Actor {
	client := clientFrom(r.Context())
	return identity.Actor{Address: client.Address, RequestID: client.RequestID}
}

// authenticate believes the access token who it is, and the database what they
// are: role, organisation and status may have changed since it was signed.
func (a *API) authenticate(r *http.Request) (caller, error) {
	claims, err := a.guard.Authenticate(r)
	if err != nil {
		return caller{}, err
	}
	user, err := a.tokens.Bearer(r.Context(), claims.Subject, claims.SessionID)
	if err != nil {
		return caller{}, err
	}
	who := caller{actor: anonymous(r), user: user}
	who.actor.UserID, who.actor.FamilyID = user.ID, claims.SessionID
	return who, nil
}

func (a *API) authenticateRole(r *http.Request, least identity.Role) (caller, error) {
	who, err := a.authenticate(r)
	if err != nil {
		return caller{}, err
	}
	if !who.user.Role.AtLeast(least) {
		a.logDenied(r, who.actor)
		return caller{}, identity.ErrForbidden
	}
	return who, nil
}

// logDenied tells who asked for what their role is not for. There is no row in
// the audit table: anybody with an account could fill it from here.
func (a *API) logDenied(r *http.Request, by identity.Actor) {
	a.log.LogAttrs(r.Context(), slog.LevelWarn, "route.denied", slog.Bool("audit", true), slog.String("outcome", "refused"),
		slog.String("actor_id", by.UserID), slog.String("address", by.Address),
		slog.String("request_id", by.RequestID), slog.String("detail", r.Pattern))
}

// serviceToken returns the service token of the request, if it has one. What
// is not clearly one is left to the guard to refuse.
func serviceToken(r *http.Request) (string, bool) {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return "", false
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	return secret, strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(secret, serviceTokenPrefix)
}

// isInvalidToken reports whether err says only that the service token is not
// a good one.
func isInvalidToken(err error) bool { return errors.Is(err, token.ErrInvalid) }

// checkPathValues refuses ids and names that nothing can have: they are not
// found. values are the names of the pattern's wildcards.
func checkPathValues(r *http.Request, values []string) error {
	for _, name := range values {
		value := r.PathValue(name)
		ok := identity.ValidID(value)
		if name == "name" {
			ok = value != "" && identity.Storable(value)
		}
		if !ok {
			return fault.New(fault.NotFound, "not_found", "there is nothing at this address")
		}
	}
	return nil
}

// checkQuery looks at the parameters that the route knows: each may come once,
// and not empty, since an empty filter would list everything. Others are
// ignored, as the original did: proxies and trackers add their own.
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
			return fault.BadField(name, name+" must be there once")
		case values[0] == "":
			return fault.BadField(name, name+" must not be empty")
		case !utf8.ValidString(values[0]):
			return fault.BadField(name, name+" must be valid UTF-8")
		}
	}
	return nil
}

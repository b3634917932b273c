package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// Access is the access rule of a route: which callers it admits. What an admitted
// caller may do is checked in the transaction that does it. The zero value is not a
// rule, and no route may have it.
type Access uint8

// The rules.
const (
	undeclared    Access = iota
	Anonymous            // anyone
	User                 // a user who can sign in
	UserProfile          // as Account, and the access token that requested the last password change
	OrgAdmin             // a user or a service token of the role org_admin or stronger
	Superadmin           // a user or a service token of the role superadmin
	UserOrService        // a user who can sign in, or a service token
	UserOrRefresh        // a user who can sign in, or a refresh token in the body
	Service              // a service token
	Account              // a user who can sign in, or a client that they allowed to manage their account
)

// String names the rule.
func (a Access) String() string {
	names := []string{"undeclared", "anonymous", "user", "user's own profile", "org_admin", "superadmin", "user or service token", "user or refresh token", "service token", "user, or client with the scope account"}
	if int(a) >= len(names) {
		return names[undeclared]
	}
	return names[a]
}

// Credential is what authenticates a request to a route; several may be joined with
// |. The zero value is undeclared, and no route may have it.
//
// A browser adds only a cookie to a request by itself, for requests from any site.
// So a route has protection against cross-site requests if and only if its
// credential is a cookie, and then it accepts no other one.
type Credential uint8

// The credentials.
const (
	NoCredential Credential = 1 << iota
	Bearer                  // a token in the header Authorization, RFC 6750
	RefreshToken            // in the body
	ClientSecret            // or another client authentication, RFC 6749 section 2.3
	Cookie                  // of a browser
)

// Route is one method of one path, with its rules.
type Route struct {
	Method     string
	Pattern    string // path with wildcards, such as /api/v1/groups/{id}
	ID         string // stable name, the operation's in the OpenAPI document
	Access     Access
	Credential Credential
	MaxBody    int64 // longest request body, in bytes; 0: a body is not read
	Public     bool  // scripts of every origin may read the response
	OfClients  bool  // scripts of clients call it: the handler lets those of the client at hand read the response, see AllowOrigin
	RootOnly   bool  // not under the path of the issuer: for tools of this machine, not for clients behind a proxy
	KnownHosts bool  // only for the host of the issuer, localhost and loopback addresses; see Config.KnownHostsOnly
	Always     bool  // for every host and beyond every limit: for supervisors
	Quiet      bool  // only failures are logged: programs call it every few seconds
	Handler    http.Handler
}

// Group is the routes of one protocol, with its way to authorize and to refuse requests.
type Group struct {
	// Prefix is the path, such as /oauth2, below which the group responds to
	// requests that match no route. The group without a prefix responds elsewhere.
	Prefix string
	Routes []Route

	// Authorize returns the request for the handler, or an error if the rule does
	// not admit it. It is not called for Anonymous routes; nil: the group has no
	// others.
	Authorize func(*http.Request, Access) (*http.Request, error)

	// Refuse writes the response for an error of Authorize and for an *Error of the
	// router.
	Refuse func(http.ResponseWriter, *http.Request, error)

	// OfClient reports whether scripts of the origin are those of some client, for
	// preflights of routes that have OfClients: a preflight does not say which client
	// sends it. Nil: none are.
	OfClient func(ctx context.Context, origin string) bool
}

// mounted is a route of a group.
type mounted struct {
	*Route
	group *Group
}

// check panics unless the route declares an access rule and a credential that fits;
// no configuration can cause that.
func (m mounted) check() {
	c := m.Credential
	var fault string
	switch {
	case m.Access.String() == undeclared.String():
		fault = "has no access rule"
	case c == 0:
		fault = "does not declare its credential"
	case m.Access != Anonymous && c == NoCredential:
		fault = "is not anonymous and takes no credential"
	case m.Access != Anonymous && m.group.Authorize == nil:
		fault = "is not anonymous, and its group has no Authorize"
	case c&(NoCredential|Cookie) != 0 && c&(c-1) != 0:
		fault = "accepts a cookie or no credential besides another one"
	case m.Access == Anonymous && m.MaxBody > maxAnonymous:
		fault = "lets anyone send a long body"
	default:
		return
	}
	panic("web: " + m.Method + " " + m.Pattern + " " + fault)
}

// guard enforces the declaration of the route before its handler is called.
func (rt *Router) guard(m mounted) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !literal(m.Pattern, r.URL) {
			m.group.Refuse(w, r, ErrNotFound)
			return
		}
		if err := rt.admit(r, m.Route); err != nil {
			m.group.Refuse(w, r, err)
			return
		}
		if m.Public {
			setPublic(w.Header())
		}
		if m.OfClients {
			w.Header().Set("Vary", "Origin")
		}
		if m.Credential == Cookie && rt.crossOrigin.Check(r) != nil {
			m.group.Refuse(w, r, errCrossOrigin)
			return
		}
		if m.Access != Anonymous {
			admitted, err := m.group.Authorize(r, m.Access)
			if err != nil {
				m.group.Refuse(w, r, err)
				return
			}
			r = admitted
		}
		if r.ContentLength != 0 && m.MaxBody > 0 {
			defer rt.limitBody(w, r, m.MaxBody).giveBack()
		} else {
			r.Body = http.NoBody
		}
		m.Handler.ServeHTTP(w, r)
	})
}

// fallback responds to requests that match no route: to preflights, else with 405 or 404.
func (rt *Router) fallback(w http.ResponseWriter, r *http.Request) {
	r.Pattern = ""
	if err := rt.admit(r, &Route{}); err != nil {
		rt.groupOf(r).Refuse(w, r, err)
		return
	}
	routes := rt.routesAt(r)
	if len(routes) == 0 {
		rt.groupOf(r).Refuse(w, r, ErrNotFound)
		return
	}
	var methods []string
	for _, m := range routes {
		methods = append(methods, m.Method)
		if m.Method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		if m.Public {
			setPublic(w.Header())
		}
		if m.OfClients {
			allowClient(w.Header(), r, m.group)
		}
	}
	if isPreflight(r) && w.Header().Get("Access-Control-Allow-Origin") != "" {
		writePreflight(w.Header(), r, methods)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	rt.noteOrigin(w.Header(), r, routes[0])
	w.Header().Set("Allow", strings.Join(methods, ", "))
	routes[0].group.Refuse(w, r, errMethodNotAllowed)
}

// allowClient allows a preflight from an origin of some client.
func allowClient(h http.Header, r *http.Request, g *Group) {
	h.Set("Vary", "Origin")
	if origin := r.Header.Get("Origin"); isPreflight(r) && g.OfClient != nil && g.OfClient(r.Context(), origin) {
		AllowOrigin(h, origin)
	}
}

// routesAt returns the routes of the request's path, one for each method.
func (rt *Router) routesAt(r *http.Request) (routes []mounted) {
	if !isClean(r) {
		return nil
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := http.Request{Method: method, URL: r.URL, Host: r.Host}
		_, pattern := rt.mux.Handler(&probe)
		if m, found := rt.routes[pattern]; found {
			routes = append(routes, m)
		}
	}
	return routes
}

// groupOf is the group that responds to a request without a handler.
func (rt *Router) groupOf(r *http.Request) *Group {
	if m, found := rt.routes[r.Pattern]; found {
		return m.group
	}
	i := slices.IndexFunc(rt.groups, func(g Group) bool {
		return g.Prefix == "" || r.URL.Path == g.Prefix || strings.HasPrefix(r.URL.Path, g.Prefix+"/")
	})
	return &rt.groups[i] // the last one has no prefix
}

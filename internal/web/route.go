package web

import (
	"net/http"
	"slices"
	"strings"
)

// Access is the rule of a route: who may call it at all. What they may do to
// whom is decided again in the transaction that does it. The zero value is no
// rule, and no route may have it.
type Access uint8

// The rules.
const (
	undeclared    Access = iota
	Anonymous            // anyone
	User                 // a user who can sign in
	UserProfile          // as User, and the access token that asked for the last change of password
	OrgAdmin             // a user who is org_admin or stronger
	Superadmin           // a user who is superadmin
	UserOrService        // a user who can sign in, or a service token
	UserOrRefresh        // a user who can sign in, or a refresh token in the body
)

// String names the rule.
func (a Access) String() string {
	names := []string{"undeclared", "anonymous", "user", "user's own profile", "org_admin", "superadmin", "user or service token", "user or refresh token"}
	if int(a) >= len(names) {
		return names[undeclared]
	}
	return names[a]
}

// Credential is what a request to a route proves itself with; several may be
// joined with |. The zero value is undeclared, and no route may have it.
//
// Of all of them a browser adds only a cookie to a request by itself, whichever
// site makes it. So a route has protection against cross-site requests if and
// only if its credential is a cookie, and takes no other one then.
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
	Public     bool // scripts of every origin may read the answer
	RootOnly   bool // not under the path of the issuer: for this machine's tools, not for the clients that a proxy sends
	Handler    http.Handler
}

// Group is the routes of one protocol, with what its clients understand.
type Group struct {
	// Prefix is the path below which the protocol answers what no route
	// matches, such as /oauth2. The group without one answers everywhere else.
	Prefix string
	Routes []Route

	// Authorize returns the request as the handler may see it, or why the rule
	// does not let it in. It is not asked about Anonymous routes; nil: the
	// group has no others.
	Authorize func(*http.Request, Access) (*http.Request, error)

	// Refuse writes the answer to a request that is not served: to what
	// Authorize returned, and to an *Error of the router.
	Refuse func(http.ResponseWriter, *http.Request, error)
}

// mounted is a route of a group.
type mounted struct {
	*Route
	group *Group
}

// check panics unless the route says who may call it and how they prove it: no
// configuration can cause that.
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
		fault = "is not anonymous, and its group authorizes nobody"
	case c&(NoCredential|Cookie) != 0 && c&(c-1) != 0:
		fault = "takes a cookie, or nothing, besides another credential"
	default:
		return
	}
	panic("web: " + m.Method + " " + m.Pattern + " " + fault)
}

// guard puts before the handler what follows from the route's declaration.
func (rt *Router) guard(m mounted) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.Public {
			setPublic(w.Header())
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
		m.Handler.ServeHTTP(w, r)
	})
}

// fallback answers what no route matches: a preflight, 405 or 404.
func (rt *Router) fallback(w http.ResponseWriter, r *http.Request) {
	r.Pattern = ""
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
	}
	if isPreflight(r) && w.Header().Get("Access-Control-Allow-Origin") != "" {
		answerPreflight(w.Header(), methods)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	routes[0].group.Refuse(w, r, errMethodNotAllowed)
}

// routesAt returns the routes of the request's path, one for each method.
func (rt *Router) routesAt(r *http.Request) (routes []mounted) {
	if !isClean(r.URL) {
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

// groupOf is the group that answers for the request when no handler does.
func (rt *Router) groupOf(r *http.Request) *Group {
	if m, found := rt.routes[r.Pattern]; found {
		return m.group
	}
	i := slices.IndexFunc(rt.groups, func(g Group) bool {
		return g.Prefix == "" || r.URL.Path == g.Prefix || strings.HasPrefix(r.URL.Path, g.Prefix+"/")
	})
	return &rt.groups[i] // the last one has no prefix
}

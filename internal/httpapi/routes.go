package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Route is one method of one path, with its rule.
type Route struct {
	Method      string
	Pattern     string // path with wildcards, such as /api/v1/groups/{id}
	OperationID string // as in the OpenAPI document
	Access      Access
}

// route is a Route with everything that happens behind it. Exactly one of
// typed and plain is set.
type route struct {
	Route
	Tag, Summary, Description string // for the OpenAPI document

	body   body
	bare   string   // the member that a bare JSON string stands for; empty: none
	query  []string // names of the query parameters it knows
	public bool     // scripts of every origin may read it

	refusals map[int]string // what statuses mean here that the rest does not imply, or more than it implies
	typed    typed
	plain    http.HandlerFunc
	answer   reflect.Type // of a plain route in the OpenAPI document; nil: it is not in there

	values []string // names of the wildcards, of Pattern, filled in by table
}

// typed registers a handler with huma, behind a guard.
type typed func(api huma.API, rt *route, protect func(http.HandlerFunc) http.Handler)

// locate is where a field of a request to the route is: only the edge knows
// whether its name is one of the path, of the query or of the body.
func (rt *route) locate(field string) string {
	switch {
	case slices.Contains(rt.values, field):
		return "path." + field
	case slices.Contains(rt.query, field):
		return "query." + field
	default:
		return "body." + field
	}
}

// endpoint adapts a handler that takes the caller as an argument and returns
// the body of the 200.
func endpoint[I, O any](a *API, handle func(context.Context, caller, *I) (O, error)) typed {
	return func(api huma.API, rt *route, protect func(http.HandlerFunc) http.Handler) {
		huma.Register(guarded{api, protect}, *rt.operation(), func(ctx context.Context, in *I) (*reply[O], error) {
			out, err := handle(ctx, callerFrom(ctx), in)
			if err != nil {
				return nil, a.refuse(ctx, rt, err)
			}
			return &reply[O]{Body: out}, nil
		})
	}
}

// reply is the form in which huma wants an answer.
type reply[O any] struct{ Body O }

// adapter connects huma to a ServeMux.
type adapter struct{ mux *http.ServeMux }

// Handle implements huma.Adapter. Routes are mounted through guarded only.
func (adapter) Handle(op *huma.Operation, _ func(huma.Context)) {
	panic("httpapi: " + op.OperationID + " would be served without a guard")
}

// ServeHTTP implements huma.Adapter.
func (a adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// guarded is a huma.API whose routes are mounted behind a guard.
type guarded struct {
	huma.API
	protect func(http.HandlerFunc) http.Handler
}

// Adapter implements huma.API.
func (g guarded) Adapter() huma.Adapter { return guardedAdapter{g.API.Adapter().(adapter), g.protect} }

type guardedAdapter struct {
	adapter
	protect func(http.HandlerFunc) http.Handler
}

// Handle implements huma.Adapter.
func (g guardedAdapter) Handle(op *huma.Operation, handle func(huma.Context)) {
	g.mux.Handle(op.Method+" "+op.Path, g.protect(func(w http.ResponseWriter, r *http.Request) {
		handle(humago.NewContext(op, r, w))
	}))
}

// table is every route of the API: what it is, who may call it, what it does.
func (a *API) table() []route {
	var table []route
	for _, part := range [][]route{a.accountRoutes(), a.peopleRoutes(), a.groupRoutes(), a.serviceTokenRoutes(), a.publicRoutes()} {
		table = append(table, part...)
	}
	for i := range table {
		table[i].values = wildcards(table[i].Pattern)
	}
	return table
}

// wildcards are the names in a pattern's braces. The $ that ends one is none.
func wildcards(pattern string) (names []string) {
	for _, part := range strings.Split(pattern, "{")[1:] {
		if name, _, _ := strings.Cut(part, "}"); name != "$" {
			names = append(names, name)
		}
	}
	return names
}

// methodsOf returns the methods that the path of r has, and whether scripts of
// every origin may use them.
func (a *API) methodsOf(r *http.Request) (methods []string, public bool) {
	if !isClean(r.URL) {
		return nil, false
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := http.Request{Method: method, URL: r.URL, Host: r.Host}
		_, pattern := a.mux.Handler(&probe)
		if pattern == "/" || pattern == "" {
			continue
		}
		methods = append(methods, method)
		if method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		public = public || a.isPublic(pattern)
	}
	return methods, public
}

func (a *API) isPublic(pattern string) bool {
	for i := range a.routes {
		if a.routes[i].public && pattern == a.routes[i].Method+" "+a.routes[i].Pattern {
			return true
		}
	}
	return false
}

func refuseMethod(w http.ResponseWriter, methods []string) {
	w.Header().Set("Allow", strings.Join(methods, ", "))
	writeProblem(w, newProblem(http.StatusMethodNotAllowed, "method_not_allowed", "this address does not have that method"))
}

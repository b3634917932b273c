package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/pico-auth/pico-auth/internal/web"
)

// route is a web.Route with its handler and description. Exactly one of typed and
// plain is set.
type route struct {
	web.Route
	Tag, Summary, Description string // for the OpenAPI document

	created bool // a success is 201

	body  body
	bare  string   // the field that a bare JSON string stands for; empty: none
	query []string // names of the query parameters it knows

	whole   bool // its response has all there is, without pages
	hashes  bool // it hashes a new password for another user, and the places for that limit it
	accepts bool // its response depends on the header Accept

	refusals map[int]string // meanings of statuses that do not follow from the rest, or add to it
	typed    typed
	plain    http.HandlerFunc
	response reflect.Type // of a plain route in the OpenAPI document; nil: it is not in it

	values []string // names of the wildcards of Pattern, filled in by table
}

// at declares a route.
func at(method, pattern, id string, access web.Access, credential web.Credential) web.Route {
	return web.Route{Method: method, Pattern: pattern, ID: id, Access: access, Credential: credential}
}

// typed registers a handler with huma.
type typed func(api huma.API, rt *route)

// locate returns the place of a field of a request to the route: only this package
// knows whether its name is one of the path, of the query or of the body.
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
func endpoint[I, O any](a *API, handle func(context.Context, *caller, *I) (O, error)) typed {
	return func(api huma.API, rt *route) {
		huma.Register(api, *rt.operation(), func(ctx context.Context, in *I) (*reply[O], error) {
			out, err := inTurn(ctx, a, rt, handle, in)
			if err != nil {
				return nil, a.refuse(ctx, rt, err)
			}
			return &reply[O]{Body: out}, nil
		})
	}
}

// reply is the form of a response for huma.
type reply[O any] struct{ Body O }

// adapter collects the handlers that huma would serve: the router serves them,
// after the rule of their route.
type adapter struct {
	handler http.HandlerFunc // of the operation registered last
}

// Handle implements huma.Adapter.
func (a *adapter) Handle(op *huma.Operation, handle func(huma.Context)) {
	a.handler = func(w http.ResponseWriter, r *http.Request) { handle(humago.NewContext(op, r, w)) }
}

// ServeHTTP implements huma.Adapter.
func (*adapter) ServeHTTP(http.ResponseWriter, *http.Request) {
	panic("httpapi: huma serves nothing by itself")
}

// table returns every route of the API.
func (a *API) table() []route {
	var table []route
	for _, part := range [][]route{a.accountRoutes(), a.sessionRoutes(), a.consentRoutes(), a.userRoutes(), a.organizationRoutes(), a.groupRoutes(), a.serviceTokenRoutes(), a.clientRoutes(), a.auditRoutes(), a.publicRoutes()} {
		table = append(table, part...)
	}
	for i := range table {
		table[i].values = wildcards(table[i].Pattern)
		table[i].MaxBody = table[i].maxBody()
	}
	return table
}

// wildcards are the names in a pattern's braces, without the final $.
func wildcards(pattern string) (names []string) {
	for _, part := range strings.Split(pattern, "{")[1:] {
		if name, _, _ := strings.Cut(part, "}"); name != "$" {
			names = append(names, name)
		}
	}
	return names
}

package httpapi

import (
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	jsonstrict "github.com/go-jose/go-jose/v4/json"

	"github.com/pico-auth/pico-auth/internal/web"
)

const (
	bearerScheme  = "bearer"
	serviceScheme = "service_bearer"
)

const apiDescription = `An authentication server: users, roles, groups, and the tokens that other services trust.

**Tokens.** Log in, and send the access token as ` + "`Authorization: Bearer <token>`" + `. By default it expires after 15 minutes; the refresh token yields the next pair once.

**Bodies.** JSON in UTF-8 with ` + "`Content-Type: application/json`" + `, at most 64 KiB, without a user's access token 4 KiB. Unknown fields are refused. Unknown query parameters are ignored.

**Refusals.** Every one is a problem document (RFC 9457) whose field ` + "`error`" + ` is a stable code for programs. Objects of another organization are not found rather than forbidden.

**Lists.** With ` + "`limit`" + ` or ` + "`cursor`" + ` they come in pages; otherwise in one of up to 1000. When there are more, ` + "`next_cursor`" + ` leads to the next page; ` + "`total`" + ` counts all pages.`

// humaConfig switches off what huma would add by itself: pages that load from
// other servers, $schema fields, formats other than JSON.
func (a *API) humaConfig() huma.Config {
	format := huma.Format{
		Marshal: writeJSON,
		// Case-sensitive, unlike encoding/json.
		Unmarshal: jsonstrict.Unmarshal,
	}
	config := huma.DefaultConfig(a.title, a.version)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.Formats = map[string]huma.Format{"application/json": format, "json": format}
	config.Info.Description = apiDescription
	config.Info.License = &huma.License{Name: "MIT", Identifier: "MIT"}
	config.Servers = []*huma.Server{{URL: cmp.Or(a.base, "/")}}
	config.Tags = []*huma.Tag{
		{Name: tagAccount, Description: "Registration, login and logout, and the user's own account."},
		{Name: tagUsers, Description: "Administration of users. An org_admin acts in the own organization only, and never on a superadmin."},
		{Name: tagOrganizations, Description: "Organizations. A suspended one accepts none of its users and service tokens."},
		{Name: tagGroups, Description: "Groups of an organization. A user's access token has the ids of their groups."},
		{Name: tagServiceTokens, Description: "Credentials of programs, and what verifying services need."},
		{Name: tagClients, Description: "Clients of the OpenID provider: the applications that users sign in to."},
		{Name: tagAudit, Description: "Which actor did what to which target, and what was refused."},
		{Name: tagKeys, Description: "What verifies access tokens; public."},
	}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		bearerScheme: {
			Type: "http", Scheme: "bearer", BearerFormat: "JWT",
			Description: "The access_token of login or refresh.",
		},
		serviceScheme: {
			Type: "http", Scheme: "bearer",
			Description: "A service token, pico_svc_...",
		},
	}
	return config
}

// writeJSON encodes first and writes then: an error of writing means that the
// client has disconnected, and is no fault.
func writeJSON(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, _ = w.Write(append(body, '\n'))
	return nil
}

// operation is the route in the form of the OpenAPI document.
func (rt *route) operation() *huma.Operation {
	success := http.StatusOK
	if rt.created {
		success = http.StatusCreated
	}
	return &huma.Operation{
		DefaultStatus: success,
		Method:        rt.Method, Path: rt.Pattern, OperationID: rt.ID,
		Summary: rt.Summary, Description: rt.Description, Tags: []string{rt.Tag},
		Security:     rt.security(),
		MaxBodyBytes: 2 * web.LargeBody, // the length was checked before huma
	}
}

func (rt *route) security() []map[string][]string {
	switch rt.Access {
	case web.Anonymous:
		return []map[string][]string{} // none; nil would leave it open
	case web.Service:
		return []map[string][]string{{serviceScheme: {}}}
	case web.UserOrService, web.OrgAdmin, web.Superadmin:
		return []map[string][]string{{bearerScheme: {}}, {serviceScheme: {}}}
	case web.UserOrRefresh:
		return []map[string][]string{{}, {bearerScheme: {}}}
	default:
		return []map[string][]string{{bearerScheme: {}}}
	}
}

// described returns the OpenAPI document. It is made from an API of its own, which
// serves nothing: making it would be most of the work of a start, and huma's API
// that serves cannot be added to later.
func (a *API) described() *huma.OpenAPI {
	api := huma.NewAPI(a.humaConfig(), &adapter{})
	doc := api.OpenAPI()
	for i := range a.routes {
		switch rt := &a.routes[i]; {
		case rt.typed != nil:
			rt.typed(api, rt)
			allowNull(doc, rt)
			describe(doc, rt)
		case rt.response != nil:
			describePlain(doc, rt, rt.response)
			describe(doc, rt)
		}
	}
	describeProvider(doc)
	a.refineSchemas(doc)
	return doc
}

// operationOf is huma's operation of rt.
func operationOf(doc *huma.OpenAPI, rt *route) *huma.Operation {
	item := doc.Paths[rt.Pattern]
	switch rt.Method {
	case http.MethodGet:
		return item.Get
	case http.MethodPost:
		return item.Post
	case http.MethodPut:
		return item.Put
	case http.MethodPatch:
		return item.Patch
	default:
		return item.Delete
	}
}

// describe adds to the OpenAPI document what huma does not know: the refusals,
// and that a bare string may stand for the body.
func describe(doc *huma.OpenAPI, rt *route) {
	op := operationOf(doc, rt)
	schema := doc.Components.Schemas.Schema(reflect.TypeFor[problem](), true, "")
	delete(op.Responses, "default")
	for status, meaning := range rt.statuses() {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: meaning,
			Headers:     refusalHeaders(status),
			Content:     map[string]*huma.MediaType{problemType: {Schema: schema, Example: example(status, meaning)}},
		}
	}
	if rt.bare != "" {
		object := op.RequestBody.Content["application/json"].Schema
		text := *doc.Components.Schemas.SchemaFromRef(object.Ref).Properties[rt.bare]
		text.Description = "The same as an object with only " + rt.bare + "."
		op.RequestBody.Content["application/json"] = &huma.MediaType{Schema: &huma.Schema{
			OneOf: []*huma.Schema{object, &text},
		}}
	}
}

// allowNull lets null stand for an absent optional field: clients in Python
// send None that way.
func allowNull(doc *huma.OpenAPI, rt *route) {
	op := operationOf(doc, rt)
	if op.RequestBody == nil {
		return
	}
	request := op.RequestBody.Content["application/json"].Schema
	if request.Ref != "" {
		request = doc.Components.Schemas.SchemaFromRef(request.Ref)
	}
	for name, member := range request.Properties {
		if slices.Contains(request.Required, name) || member.Nullable {
			continue
		}
		switch {
		case member.Ref != "":
			own := *doc.Components.Schemas.SchemaFromRef(member.Ref) // a reference has no type beside it, and huma takes all for null
			own.Description = cmp.Or(member.Description, own.Description)
			member = &own
			request.Properties[name] = member
		case member.Type == "":
			continue // of any type, null too
		}
		member.Nullable = true
		if len(member.Enum) > 0 {
			member.Enum = append(member.Enum, nil)
		}
	}
}

// statuses are the refusals of a route and their meanings.
func (rt *route) statuses() map[int]string {
	s := map[int]string{
		http.StatusInternalServerError: "`internal_error`: the server is at fault; its log has the `request_id`",
	}
	if rt.plain == nil {
		s[http.StatusServiceUnavailable] = "`unavailable`: try again after `Retry-After`"
	}
	if rt.Access != web.Anonymous {
		s[http.StatusBadRequest] = "`invalid_request`: the header Authorization is malformed"
		s[http.StatusUnauthorized] = unauthenticated
		s[http.StatusForbidden] = "`insufficient_scope`: the access token was issued for other services"
	}
	if rt.Access == web.UserOrService {
		s[http.StatusTooManyRequests] = unknowns
	}
	if rt.Access == web.OrgAdmin || rt.Access == web.Superadmin {
		s[http.StatusForbidden] = joinMeanings("`forbidden`: the role does not allow this", s[http.StatusForbidden])
	}
	if security := rt.security(); len(security) > 0 && security[len(security)-1][serviceScheme] != nil {
		s[http.StatusTooManyRequests] = "`rate_limited`: too many unknown service tokens"
	}
	if rt.Access == web.Service {
		s[http.StatusForbidden] = joinMeanings("`forbidden`: not a service token", s[http.StatusForbidden])
	}
	if len(rt.values) > 0 {
		s[http.StatusNotFound] = "`not_found`: it does not exist, or it belongs to another organization"
	}
	if len(rt.query) > 0 {
		s[http.StatusUnprocessableEntity] = "`validation_failed`: see `errors`"
	}
	if rt.body != noBody {
		s[http.StatusBadRequest] = joinMeanings(s[http.StatusBadRequest], "`malformed_json`: the body is not one JSON document")
		s[http.StatusRequestEntityTooLarge] = "`body_too_large`: more than " + strconv.FormatInt(rt.MaxBody>>10, 10) + " KiB"
		s[http.StatusUnsupportedMediaType] = "`unsupported_media_type`: not application/json in UTF-8"
		s[http.StatusUnprocessableEntity] = "`validation_failed`: see `errors`"
	}
	if rt.whole || slices.Contains(rt.query, "limit") {
		s[http.StatusTooManyRequests] = joinMeanings(s[http.StatusTooManyRequests], "`rate_limited`: too many lists at one time")
	}
	if rt.isChange() {
		s[http.StatusTooManyRequests] = joinMeanings(s[http.StatusTooManyRequests], "`rate_limited`: too many changes at one time")
	}
	maps.Copy(s, rt.refusals)
	if rt.Access == web.OrgAdmin && rt.Method != http.MethodGet {
		s[http.StatusTooManyRequests] += ", or too many changes by administrators of the organization"
	}
	return s
}

// example is a problem document of the status. Its code is the first one in the
// meaning.
func example(status int, meaning string) *problem {
	_, code, _ := strings.Cut(meaning, "`")
	code, _, _ = strings.Cut(code, "`")
	p := newProblem(status, code, "a sentence for users")
	switch {
	case status == http.StatusUnprocessableEntity:
		p.Errors = []fieldProblem{{Location: "body.name", Message: "name must not be blank"}}
	case status >= http.StatusInternalServerError:
		p.RequestID = "4R6EZQ7WQ2X2CQ7Q5KQ5J5U2VE"
	}
	return p
}

func joinMeanings(one, other string) string {
	if one == "" {
		return other
	}
	return one + "; " + other
}

func refusalHeaders(status int) map[string]*huma.Param {
	text := &huma.Schema{Type: huma.TypeString}
	switch status {
	case http.StatusUnauthorized:
		return map[string]*huma.Param{"WWW-Authenticate": {Description: "Bearer, as in RFC 6750.", Schema: text}}
	case http.StatusTooManyRequests:
		return map[string]*huma.Param{
			"Retry-After":      retryAfter(),
			"RateLimit":        {Description: "The limit, and `t`, the seconds until the next attempt, as in draft-ietf-httpapi-ratelimit-headers.", Schema: text},
			"RateLimit-Policy": {Description: "Its quota `q` in a window of `w` seconds, if it has one.", Schema: text},
		}
	case http.StatusServiceUnavailable:
		return map[string]*huma.Param{"Retry-After": retryAfter()}
	default:
		return nil
	}
}

func retryAfter() *huma.Param {
	return &huma.Param{Description: "In seconds.", Schema: &huma.Schema{Type: huma.TypeInteger}}
}

// describePlain adds a route to the document that huma does not serve.
func describePlain(doc *huma.OpenAPI, rt *route, response reflect.Type) {
	op := rt.operation()
	op.Responses = map[string]*huma.Response{
		"200": {
			Description: http.StatusText(http.StatusOK),
			Headers:     map[string]*huma.Param{"ETag": {Schema: &huma.Schema{Type: huma.TypeString}}},
			Content: map[string]*huma.MediaType{
				"application/json": {Schema: doc.Components.Schemas.Schema(response, true, "")},
			},
		},
		"304": {Description: "`If-None-Match` names the current document"},
	}
	for _, name := range rt.query {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "query", Schema: &huma.Schema{Type: huma.TypeString}})
	}
	doc.AddOperation(op)
}

// serveOpenAPI serves the document, which is rendered at the first request.
func (a *API) serveOpenAPI(w http.ResponseWriter, r *http.Request) {
	a.openAPI().Serve(w, r, revalidate)
}

func render(doc *huma.OpenAPI) web.Compressible {
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err) // the golden file's test renders it
	}
	return web.NewCompressible("application/json", append(body, '\n'))
}

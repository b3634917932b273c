package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/web"
)

// secret stands for a secret that a client sends by mistake. No response and no
// log line may contain it.
const secret = "hunter2-never-to-be-seen-again"

// TestBodyRefusals sends invalid bodies to an endpoint that takes an object, and
// checks the status, the code, and that nothing is echoed.
func TestBodyRefusals(t *testing.T) {
	r := newRig(t)
	const loginPath = "/api/v1/auth/login"
	for _, c := range []struct {
		name, contentType, body string
		status                  int
		code                    string
	}{
		{"no body", "application/json", ``, 400, "malformed_json"},
		{"white space", "application/json", ` `, 400, "malformed_json"},
		{"half a document", "application/json", `{"email":"` + secret, 400, "malformed_json"},
		{"two documents", "application/json", `{}{"` + secret + `":1}`, 400, "malformed_json"},
		{"invalid UTF-8", "application/json", `{"email":"a@example.com","password":"` + secret + "\xff\"}", 400, "malformed_json"},
		{"half a surrogate pair", "application/json", `{"email":"a@example.com","password":"` + secret + `\ud800"}`, 400, "malformed_json"},
		{"a duplicate field", "application/json", `{"email":"a@example.com","password":"x","password":"` + secret + `"}`, 400, "malformed_json"},
		{"too deep", "application/json", strings.Repeat("[", 21) + `"` + secret + `"` + strings.Repeat("]", 21), 400, "malformed_json"},
		{"a string", "application/json", `"` + secret + `"`, 422, "validation_failed"},
		{"a number", "application/json", `5`, 422, "validation_failed"},
		{"null", "application/json", `null`, 422, "validation_failed"},
		{"an array", "application/json", `["` + secret + `"]`, 422, "validation_failed"},
		{"nothing in it", "application/json", `{}`, 422, "validation_failed"},
		{"a missing field", "application/json", `{"email":"` + secret + `"}`, 422, "validation_failed"},
		{"an unknown field", "application/json", `{"email":"a@example.com","password":"` + secret + `","role":"` + secret + `"}`, 422, "validation_failed"},
		{"a field of another case", "application/json", `{"email":"a@example.com","Password":"` + secret + `"}`, 422, "validation_failed"},
		{"a further field of another case", "application/json", `{"email":"a@example.com","password":"x","PASSWORD":"` + secret + `"}`, 422, "validation_failed"},
		{"a number for a string", "application/json", `{"email":"a@example.com","password":12345678901}`, 422, "validation_failed"},
		{"a huge number for a string", "application/json", `{"email":"a@example.com","password":1e999}`, 400, "malformed_json"},
		{"an object for a string", "application/json", `{"email":"a@example.com","password":{"x":"` + secret + `"}}`, 422, "validation_failed"},
		{"null for a string", "application/json", `{"email":"a@example.com","password":null}`, 422, "validation_failed"},
		{"4 KiB and a byte", "application/json", strings.Repeat(" ", web.SmallBody-1) + `{}`, 413, "body_too_large"},

		{"no content type", "", `{"email":"` + secret + `"}`, 415, "unsupported_media_type"},
		{"a form", "application/x-www-form-urlencoded", `password=` + secret, 415, "unsupported_media_type"},
		{"text", "text/plain", `{"email":"` + secret + `"}`, 415, "unsupported_media_type"},
		{"another JSON", "application/vnd.api+json", `{}`, 415, "unsupported_media_type"},
		{"problem JSON", "application/problem+json", `{}`, 415, "unsupported_media_type"},
		{"latin 1", "application/json; charset=iso-8859-1", `{}`, 415, "unsupported_media_type"},
		{"another parameter", "application/json; profile=x", `{}`, 415, "unsupported_media_type"},
		{"a broken parameter", "application/json; charset", `{}`, 415, "unsupported_media_type"},
		{"two in one", "application/json, text/plain", `{}`, 415, "unsupported_media_type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := httptest.NewRequest(http.MethodPost, loginPath, strings.NewReader(c.body))
			if c.contentType != "" {
				req.Header.Set("Content-Type", c.contentType)
			}
			a := r.do(req)
			if a.status != c.status || a.text("error") != c.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.raw, c.status, c.code)
			}
			if (a.status == http.StatusUnprocessableEntity) != (a.body["errors"] != nil) {
				t.Errorf("errors: %s", a.raw)
			}
			checkProblem(t, a)
			if strings.Contains(string(a.raw), secret) || strings.Contains(fmt.Sprint(a.header), secret) || strings.Contains(string(a.raw), "12345678901") {
				t.Errorf("echoes the request: %s", a.raw)
			}
		})
	}
	if strings.Contains(r.log.String(), secret) {
		t.Error("logs the request")
	}
}

func TestContentTypesThatAreJSON(t *testing.T) {
	r := newRig(t)
	for _, contentType := range []string{
		"application/json", "Application/JSON", "application/json; charset=utf-8", `application/json;charset="UTF-8"`, "application/json ;charset=Utf-8",
	} {
		req := httptest.NewRequest(http.MethodPost, "/api/v1/auth/service-tokens/validate", strings.NewReader(`{"token":"x"}`))
		req.Header.Set("Content-Type", contentType)
		if a := r.do(req); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", contentType, a.status, a.raw)
		}
	}
	for header, value := range map[string][]string{
		"Content-Type":     {"application/json", "application/json"},
		"Content-Encoding": {"gzip"},
	} {
		req := httptest.NewRequest(http.MethodPost, "/api/v1/auth/service-tokens/validate", strings.NewReader(`{"token":"x"}`))
		req.Header.Set("Content-Type", "application/json")
		req.Header[header] = value
		r.want(http.StatusUnsupportedMediaType, r.do(req))
	}
}

func TestLargestBodyIsRead(t *testing.T) {
	r := newRig(t)
	body := `{"token":"x"}`
	body += strings.Repeat(" ", web.SmallBody-len(body))
	r.want(http.StatusOK, r.call(http.MethodPost, "/api/v1/auth/service-tokens/validate", "", body))
}

// A client without a credential may send little, and no route takes an unlimited body.
func TestBodyOfEachRouteIsLimitedByItsCaller(t *testing.T) {
	r := newRig(t)
	for i := range r.routes {
		rt := &r.routes[i]
		if (rt.body == noBody) != (rt.MaxBody == 0) {
			t.Errorf("%s %s: body %d, limit %d", rt.Method, rt.Pattern, rt.body, rt.MaxBody)
		}
		if rt.body == noBody {
			continue
		}
		want := int64(web.LargeBody)
		if rt.Access == web.Anonymous || rt.Access == web.UserOrRefresh {
			want = web.SmallBody
		}
		if rt.MaxBody != want {
			t.Errorf("%s %s: limit %d, want %d", rt.Method, rt.Pattern, rt.MaxBody, want)
		}
		path := strings.NewReplacer("{", "", "}", "").Replace(rt.Pattern)
		bearer := func() string { return r.as(identity.Superadmin, "default") }
		if rt.Access == web.Service {
			bearer = r.serviceToken
		}
		for size, tooLarge := range map[int64]bool{want: false, want + 1: true} {
			a := r.call(rt.Method, path, bearer(), "{"+strings.Repeat(" ", int(size)-2)+"}")
			if (a.status == http.StatusRequestEntityTooLarge) != tooLarge {
				t.Errorf("%s %s with %d bytes: %d", rt.Method, rt.Pattern, size, a.status)
			}
		}
	}
}

func TestRefusalNamesTheField(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ body, location, message string }{
		{`{"email":"a@example.com"}`, "body.password", "this field is required"},
		{`{"email":"a@example.com","password":"x","rôle":1}`, "body", "unknown field"},
		{`{"email":"a@example.com","password":"x","role":1}`, "body.role", "unknown field"},
		{`{"email":"a@example.com","password":"x","$ref":1}`, "body", "unknown field"},
		{`{"email":"a@example.com","password":"x","` + strings.Repeat("a", 65) + `":1}`, "body", "unknown field"},
		{`{"email":"a@example.com","password":"x","a.b":1}`, "body", "unknown field"},
		{`{"email":"a@example.com","password":true}`, "body.password", "expected string"},
		{`[]`, "body", "expected object"},
	} {
		a := r.want(http.StatusUnprocessableEntity, r.call(http.MethodPost, "/api/v1/auth/login", "", c.body))
		want := fmt.Sprintf(`"errors":[{"location":%q,"message":%q}]`, c.location, c.message)
		if !strings.Contains(string(a.raw), want) {
			t.Errorf("%s: %s, want %s", c.body, a.raw, want)
		}
	}
}

func TestThousandFaultsMakeAShortResponse(t *testing.T) {
	r := newRig(t)
	var body strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&body, `"m%d":1,`, i)
	}
	a := r.want(http.StatusUnprocessableEntity,
		r.call(http.MethodPost, "/api/v1/groups", r.as(identity.OrgAdmin, "default"), `{`+body.String()+`"name":"a"}`))
	if n := len(a.body["errors"].([]any)); n != maxFieldProblems {
		t.Errorf("%d faults", n)
	}
}

// TestNullStandsForAnAbsentOptionalField, as clients in Python send it; it does not
// replace a required one. What is documented is what is accepted: the rig compares
// each response, and this test each request, with the document.
func TestNullStandsForAnAbsentOptionalField(t *testing.T) {
	r := newRig(t)
	admin := r.as(identity.Superadmin, "default")
	a := r.want(http.StatusOK, r.call(http.MethodPost, "/api/v1/auth/users", admin,
		`{"email":"a@example.com","password":"a long passphrase","display_name":null,"role":null,"org_id":null}`))
	if a.body["role"] != "viewer" {
		t.Errorf("role %v", a.body["role"])
	}
	g := r.group("default")
	a = r.want(http.StatusOK, r.call(http.MethodPut, "/api/v1/groups/"+g.ID, admin, `{"name":null,"description":"new"}`))
	if a.body["name"] != g.Name || a.body["description"] != "new" {
		t.Errorf("group %s", a.raw)
	}
	r.want(http.StatusUnprocessableEntity, r.call(http.MethodPost, "/api/v1/groups", admin, `{"name":null}`))

	var document struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ AnyOf []map[string]any }
			}
		}
	}
	if err := json.Unmarshal(r.want(http.StatusOK, r.call(http.MethodGet, "/openapi.json", "", "")).raw, &document); err != nil {
		t.Fatal(err)
	}
	role := document.Components.Schemas["UserCreation"].Properties["role"]
	want := []map[string]any{{"$ref": "#/components/schemas/Role"}, {"type": "null"}}
	if !reflect.DeepEqual(role.AnyOf, want) {
		t.Errorf("documented: %+v", role)
	}
}

func TestBareStringStandsForTheOneField(t *testing.T) {
	for _, c := range []struct{ in, name, want string }{
		{`"x"`, "role", `{"role":"x"}`},
		{" \n\"x\"\n", "role", "{\"role\":\"x\"\n}"},
		{`{"role":"x"}`, "role", `{"role":"x"}`},
		{`"x"`, "", `"x"`},
		{`["x"]`, "role", `["x"]`},
	} {
		if got := string(unwrap([]byte(c.in), c.name)); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzUnwrapKeepsTheDocumentStrict(f *testing.F) {
	f.Add([]byte(`"x"`))
	f.Add([]byte(` {"a":1} `))
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkJSON(data) != nil {
			t.Skip()
		}
		if err := checkJSON(unwrap(data, "refresh_token")); err != nil && !errors.Is(err, errDepth) {
			t.Errorf("%q: %v", data, err)
		}
	})
}

// server is the API on a real socket.
func (r *rig) server() *httptest.Server {
	r.t.Helper()
	s := httptest.NewServer(http.HandlerFunc(r.serve))
	r.t.Cleanup(s.Close)
	return s
}

func TestChunkedBodyIsMeasuredAndEndsItsConnection(t *testing.T) {
	r := newRig(t)
	s := r.server()
	for size, status := range map[int]int{100: http.StatusOK, web.SmallBody + 1: http.StatusRequestEntityTooLarge} {
		body := `{"token":"x"}`
		// A reader of unknown length is sent in chunks.
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v1/auth/service-tokens/validate",
			io.MultiReader(strings.NewReader(body), bytes.NewReader(bytes.Repeat([]byte(" "), size-len(body)))))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != status || !res.Close {
			t.Errorf("%d bytes: %d, close %v", size, res.StatusCode, res.Close)
		}
	}
}

func TestBodyThatBreaksOffIsRefused(t *testing.T) {
	r := newRig(t)
	req := httptest.NewRequest(http.MethodPost, "/api/v1/auth/login", io.MultiReader(strings.NewReader(`{"a"`), brokenReader{}))
	req.Header.Set("Content-Type", "application/json")
	a := r.want(http.StatusBadRequest, r.do(req))
	if a.text("error") != "incomplete_body" || a.header.Get("Connection") != "close" {
		t.Errorf("%v %s", a.header, a.raw)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

package httpapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
)

type components struct {
	Schemas         map[string]schema
	SecuritySchemes map[string]any
}

// components returns the components of the OpenAPI document.
func (r *rig) components(t *testing.T) components {
	t.Helper()
	var doc struct{ Components components }
	if err := json.Unmarshal(r.call(http.MethodGet, "/openapi.json", "", "").raw, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Components
}

type schema struct {
	Enum       []any
	Properties map[string]struct {
		Enum                 []any
		Type                 any
		Ref                  string `json:"$ref"`
		MinLength, MaxLength int
	}
}

// TestNoGeneratedTypeHasTheNameOfASchema: generators name the type of an enum
// after its place, role of User UserRole, and a security scheme service_token
// ServiceToken, and fail when a schema has that name.
func TestNoGeneratedTypeHasTheNameOfASchema(t *testing.T) {
	named := newPublic(t).components(t)
	schemas := named.Schemas
	for name, object := range schemas {
		for field, s := range object.Properties {
			if len(s.Enum) == 0 {
				continue
			}
			if enums[field] != "" {
				t.Errorf("%s.%s has an enum of its own", name, field)
			}
			generated := strings.ReplaceAll(name+"_"+field, "_", "")
			for other := range schemas {
				if strings.EqualFold(generated, other) {
					t.Errorf("the enum of %s.%s collides with the schema %s", name, field, other)
				}
			}
		}
	}
	for name, object := range schemas {
		if slices.Contains([]string{"Client", "Server"}, name) {
			t.Errorf("%s is a type that generators write themselves", name)
		}
		for field, s := range object.Properties {
			if kinds, ok := s.Type.([]any); ok && slices.Contains(kinds, any("")) {
				t.Errorf("%s.%s has the types %v", name, field, kinds)
			}
		}
		if _, there := schemas["New"+name]; there {
			t.Errorf("New%s is the constructor of %s in generated Go", name, name)
		}
		for scheme := range named.SecuritySchemes {
			if strings.EqualFold(strings.ReplaceAll(scheme, "_", ""), name) {
				t.Errorf("the security scheme %s collides with the schema %s", scheme, name)
			}
		}
	}
	if got := schemas["User"].Properties["role"].Ref; got != "#/components/schemas/Role" || len(schemas["Role"].Enum) != len(identity.Roles()) {
		t.Errorf("role of User is %q, Role is %v", got, schemas["Role"].Enum)
	}
}

func TestAnonymousRoutesDeclareNoSecurity(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]map[string]json.RawMessage
	}
	r := newPublic(t)
	if err := json.Unmarshal(r.call(http.MethodGet, "/openapi.json", "", "").raw, &doc); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/api/v1/auth/login": "[]", "/api/v1/auth/jwks": "[]",
		"/api/v1/auth/users": `[{"bearer":[]},{"service_bearer":[]}]`, "/api/v1/auth/me": `[{"bearer":[]}]`,
		"/api/v1/auth/service-tokens/exchange": `[{"service_bearer":[]}]`,
	} {
		for method, op := range doc.Paths[path] {
			if got := string(op["security"]); got != want {
				t.Errorf("%s %s: security %s, want %s", method, path, got, want)
			}
		}
	}
}

// TestDocumentedLengthsAreTheServers sends values that are just too short or too long
// by the document, which must be refused, and values that just fit, which must not be
// refused for their length.
func TestDocumentedLengthsAreTheServers(t *testing.T) {
	r := newRig(t)
	admin := r.as(identity.Superadmin, "default")
	schemas := r.components(t).Schemas
	bodies := map[string]struct {
		path   string
		fields map[string]any
	}{
		"UserCreation":         {"/api/v1/auth/users", map[string]any{"email": "", "password": "a long passphrase"}},
		"GroupCreation":        {"/api/v1/groups", map[string]any{"name": "g"}},
		"ServiceTokenCreation": {"/api/v1/auth/service-tokens", map[string]any{"name": "t"}},
	}
	status := func(name, field, value string) int {
		fields := maps.Clone(bodies[name].fields)
		if _, ok := fields["email"]; ok {
			fields["email"] = strings.ToLower(field) + value[:min(3, len(value))] + "@example.com"
		}
		fields[field] = value
		body, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return r.call(http.MethodPost, bodies[name].path, admin, string(body)).status
	}
	// Without common words, and no part of it like another.
	text := strings.Repeat("qzxvkjwhgfpb", 50)
	for name, object := range map[string]schema{"UserCreation": schemas["UserCreation"], "GroupCreation": schemas["GroupCreation"], "ServiceTokenCreation": schemas["ServiceTokenCreation"]} {
		for field, s := range object.Properties {
			if field == "email" {
				continue // its shape is tested in identity
			}
			if s.MaxLength > 0 {
				if got := status(name, field, text[:s.MaxLength+1]); got != http.StatusUnprocessableEntity {
					t.Errorf("%s.%s of %d characters: %d", name, field, s.MaxLength+1, got)
				}
				if got := status(name, field, text[:s.MaxLength]); got == http.StatusUnprocessableEntity {
					t.Errorf("%s.%s of %d characters: %d", name, field, s.MaxLength, got)
				}
			}
			if s.MinLength > 0 {
				if got := status(name, field, text[:s.MinLength-1]); got != http.StatusUnprocessableEntity {
					t.Errorf("%s.%s of %d characters: %d", name, field, s.MinLength-1, got)
				}
				if got := status(name, field, text[:s.MinLength]); got == http.StatusUnprocessableEntity {
					t.Errorf("%s.%s of %d characters: %d", name, field, s.MinLength, got)
				}
			}
		}
	}
	for field, want := range map[string][2]int{"password": {8, 72}, "email": {3, 254}} {
		if s := schemas["Registration"].Properties[field]; s.MinLength != want[0] || s.MaxLength != want[1] {
			t.Errorf("%s: %+v", field, s)
		}
	}
	long := newPublic(t, func(c *Config) { c.PasswordMinLength = 14 }).components(t).Schemas
	if s := long["PasswordChange"].Properties; s["new_password"].MinLength != 14 || s["old_password"].MinLength != 0 {
		t.Errorf("another policy: %+v", s)
	}
}

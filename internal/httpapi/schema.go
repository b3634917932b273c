package httpapi

import (
	"maps"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

const maxPassword = 72 // bytes, and so characters at most

// enums names the schema of each set of values that several fields have. With
// one schema for all, a generated client has one type, and none that is named
// after its place: role of User would be UserRole.
var enums = map[string]string{"role": "Role", "status": "Status"}

// refineSchemas adds to the document's schemas what huma cannot read from the
// types that it decodes into.
func (a *API) refineSchemas(doc *huma.OpenAPI) {
	for _, object := range slices.Collect(maps.Values(doc.Components.Schemas.Map())) {
		for name, field := range object.Properties {
			object.Properties[name] = shareEnum(doc, name, field)
		}
	}
	for _, request := range []reflect.Type{
		reflect.TypeFor[Registration](), reflect.TypeFor[UserCreation](), reflect.TypeFor[PasswordChange](), reflect.TypeFor[PasswordReset](),
	} {
		fields := doc.Components.Schemas.Schema(request, false, "").Properties
		for _, name := range []string{"password", "new_password"} {
			if field := fields[name]; field != nil {
				least, most := a.passwordMin, maxPassword
				field.MinLength, field.MaxLength = &least, &most
			}
		}
	}
}

// shareEnum returns a reference to the schema that field shares with others, or
// field itself.
func shareEnum(doc *huma.OpenAPI, name string, field *huma.Schema) *huma.Schema {
	shared := enums[name]
	if shared == "" || len(field.Enum) == 0 {
		return field
	}
	values := slices.DeleteFunc(slices.Clone(field.Enum), func(value any) bool { return value == nil })
	doc.Components.Schemas.Map()[shared] = &huma.Schema{Type: huma.TypeString, Enum: values}
	ref := &huma.Schema{Ref: "#/components/schemas/" + shared, Description: field.Description, Examples: field.Examples}
	if !field.Nullable {
		return ref
	}
	ref.Description, ref.Examples = "", nil
	return &huma.Schema{AnyOf: []*huma.Schema{ref, {Type: "null"}}, Description: field.Description, Examples: field.Examples}
}

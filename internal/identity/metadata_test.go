package identity_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

func parts(pairs ...string) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return all
}

func TestAPartOfTheMetadataIsReplacedAsAWhole(t *testing.T) {
	for _, c := range []struct {
		stored string
		parts  map[string]json.RawMessage
		want   string
	}{
		{"", parts("admin", `{"a": 1}`), `{"admin":{"a":1}}`},
		{`{"admin":{"a":1}}`, parts("user", `{"b":[2]}`), `{"admin":{"a":1},"user":{"b":[2]}}`},
		{`{"admin":{"a":1},"user":{"b":2}}`, parts("admin", `{"c":3}`), `{"admin":{"c":3},"user":{"b":2}}`},
		{`{"admin":{"a":1},"user":{"b":2}}`, parts("admin", `null`), `{"user":{"b":2}}`},
		{`{"user":{"b":2}}`, parts("user", ` null `), ""},
		{`{"user":{"b":2}}`, nil, `{"user":{"b":2}}`},
	} {
		if got, err := identity.ChangeMetadata(c.stored, c.parts); err != nil || got != c.want {
			t.Errorf("%s with %s is %s, %v", c.stored, c.parts, got, err)
		}
	}
}

func TestMetadataIsTwoObjectsOf8KiBTogether(t *testing.T) {
	large := `{"a":"` + strings.Repeat("x", 8<<10) + `"}`
	for _, p := range []map[string]json.RawMessage{
		parts("other", `{}`), parts("admin", `[]`), parts("admin", `"x"`), parts("user", `1`), parts("user", `{`), parts("user", ``), parts("user", large),
	} {
		_, err := identity.ChangeMetadata("", p)
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != fault.Invalid {
			t.Errorf("%.40s: %v", p, err)
		}
	}
}

package oauth

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Settings are fields of a client by their JSON names, as an administrator gives them.
// Fields that are not given stay as they are.
type Settings map[string]any

// Problem is what is wrong with one field of a client.
type Problem struct {
	Field   string // its JSON name
	Message string // begins with it
}

func wrong(field, rule string) Problem { return Problem{Field: field, Message: field + " " + rule} }

// NewClient returns the client of the kind with these settings, complete with defaults.
// Its ID is empty unless the settings have one.
func NewClient(s Settings) (Client, []Problem) {
	kind := KindWeb
	if name, ok := s["kind"].(string); ok {
		kind = Kind(name)
	}
	c := defaults(kind)
	problems := c.set(s)
	if c.Name == "" {
		c.Name = string(c.Kind)
		if len(c.RedirectURIs) > 0 {
			if u, err := url.Parse(c.RedirectURIs[0]); err == nil {
				c.Name = cmp.Or(u.Hostname(), u.Scheme, c.Name)
			}
		}
	}
	return c, sorted(append(problems, c.problems()...))
}

// sorted puts the problems into one order, by their fields.
func sorted(problems []Problem) []Problem {
	slices.SortFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(problems)
}

// ValidClientID reports whether an operator may choose the id of a client: it has no
// colon, and so never equals an issuer or another URI (RFC 9700 section 4.15).
func ValidClientID(id string) bool { return clientID.MatchString(id) }

var clientID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,35}$`)

// defaults is a client of the kind before any setting.
func defaults(kind Kind) Client {
	c := Client{Kind: kind, AuthMethod: AuthSecretBasic, RequirePKCE: true, Consent: true, RefreshReuseGrace: 10}
	if kind == KindMachine {
		c.GrantTypes, c.Scopes = []string{GrantClientCredentials}, []string{}
		return c
	}
	if kind != KindWeb {
		c.AuthMethod = AuthNone
	}
	c.GrantTypes = []string{GrantCode, GrantRefresh}
	c.Scopes = []string{"openid", "profile", "email", "offline_access"}
	return c
}

// With returns the client with these settings. What it is known by, and its kind, stay.
func (c Client) With(s Settings) (Client, []Problem) {
	var problems []Problem
	for _, fixed := range []string{"client_id", "kind", "org_id"} {
		if _, given := s[fixed]; given {
			problems = append(problems, wrong(fixed, "cannot be changed"))
		}
	}
	if len(problems) == 0 {
		problems = c.set(s)
	}
	return c, sorted(append(problems, c.problems()...))
}

// set sets the fields, each by itself, so that all problems are found. Lists and tables
// are replaced as a whole. null is the default, never something that is weaker.
func (c *Client) set(s Settings) (problems []Problem) {
	initial := defaults(c.Kind)
	fields, unset := c.fields(), initial.fields()
	for _, name := range slices.Sorted(maps.Keys(s)) {
		field, known := fields[name]
		if !known {
			problems = append(problems, wrong(name, "is not a field of a client"))
			continue
		}
		value := reflect.New(field.Type()) // the old one may be shared
		encoded, err := json.Marshal(s[name])
		if string(encoded) == "null" {
			value.Elem().Set(unset[name])
		} else if err == nil {
			decoder := json.NewDecoder(bytes.NewReader(encoded))
			decoder.DisallowUnknownFields()
			err = decoder.Decode(value.Interface())
		}
		if err != nil {
			problems = append(problems, wrong(name, "has a value of another type"))
			continue
		}
		field.Set(value.Elem())
	}
	return problems
}

// fields are the settable fields by their JSON names.
func (c *Client) fields() map[string]reflect.Value {
	v := reflect.ValueOf(c).Elem()
	fields := make(map[string]reflect.Value, v.NumField())
	for i := range v.NumField() {
		if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); name != "-" {
			fields[name] = v.Field(i)
		}
	}
	return fields
}

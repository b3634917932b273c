package oauth

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
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
				c.Name = cmp.Or(u.Hostname(), u.Scheme)
			}
		}
	}
	return c, append(problems, c.problems()...)
}

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
	return c, append(problems, c.problems()...)
}

// set sets the fields, each by itself, so that all problems are found.
func (c *Client) set(s Settings) (problems []Problem) {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if name == "claims" {
			c.Claims = nil // JSON would add to a map
		}
		encoded, err := json.Marshal(map[string]any{name: s[name]})
		if err == nil {
			decoder := json.NewDecoder(bytes.NewReader(encoded))
			decoder.DisallowUnknownFields()
			err = decoder.Decode(c)
		}
		if err != nil {
			problems = append(problems, wrong(name, "is not a field of a client, or has a value of another type"))
		}
	}
	return problems
}

// problems returns what is wrong with the client.
func (c Client) problems() (problems []Problem) {
	switch c.Kind {
	case KindSPA, KindWeb, KindNative, KindMachine:
	default:
		problems = append(problems, wrong("kind", "must be one of spa, web, native, machine"))
	}
	for field, uris := range map[string][]string{"redirect_uris": c.RedirectURIs, "post_logout_redirect_uris": c.PostLogoutRedirectURIs} {
		for _, uri := range uris {
			if err := ValidateRedirectURI(c.Kind, uri); err != nil {
				problems = append(problems, wrong(field, err.Error()))
			}
		}
	}
	if len(c.RedirectURIs) == 0 && c.Allows(GrantCode) {
		problems = append(problems, wrong("redirect_uris", "must have a URI for the grant type authorization_code"))
	}
	return problems
}

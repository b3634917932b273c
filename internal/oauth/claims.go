package oauth

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// ClaimsRequest is the parameter claims, OpenID Connect Core 5.5. A claim without
// options is requested as voluntary.
type ClaimsRequest struct {
	UserInfo map[string]ClaimOptions `json:"userinfo,omitempty"`
	IDToken  map[string]ClaimOptions `json:"id_token,omitempty"`
}

// ClaimOptions are the options of one requested claim, OpenID Connect Core 5.5.1.
type ClaimOptions struct {
	Essential bool              `json:"essential,omitempty"`
	Value     json.RawMessage   `json:"value,omitempty"`
	Values    []json.RawMessage `json:"values,omitempty"`
}

// ParseClaims parses the parameter claims. Unknown fields are ignored.
func ParseClaims(text string) (*ClaimsRequest, error) {
	var c ClaimsRequest
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	if text[0] != '{' || d.Decode(&c) != nil || d.More() {
		return nil, Refuse(InvalidRequest, "claims must be a JSON object as in OpenID Connect Core 5.5")
	}
	if _, err := d.Token(); err == nil {
		return nil, Refuse(InvalidRequest, "claims must be one JSON object")
	}
	return &c, nil
}

// Encode returns the parameter as it is stored; empty: there is none.
func (c *ClaimsRequest) Encode() string {
	if c == nil {
		return ""
	}
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // its raw messages were parsed
	}
	return string(text)
}

// scopeOfClaim has the claims about a user, and for which scope a client gets each of
// them: OpenID Connect Core 5.4, and our own.
var scopeOfClaim = map[string]string{
	"name": ScopeProfile, "given_name": ScopeProfile, "family_name": ScopeProfile, "middle_name": ScopeProfile, "preferred_username": ScopeProfile, "nickname": ScopeProfile,
	"profile": ScopeProfile, "picture": ScopeProfile, "website": ScopeProfile, "gender": ScopeProfile, "birthdate": ScopeProfile,
	"zoneinfo": ScopeProfile, "locale": ScopeProfile, "updated_at": ScopeProfile,
	"email": ScopeEmail, "email_verified": ScopeEmail,
	"phone_number": ScopePhone, "phone_number_verified": ScopePhone,
	"address": ScopeAddress,
	"groups":  ScopeGroups, "group_names": ScopeGroups, "groups_truncated": ScopeGroups,
	"role":   ScopeRoles,
	"org_id": ScopeOrg,
}

// ScopeOfClaim is the scope for which a client gets a claim about a user; empty: the
// claim is not about a user.
func ScopeOfClaim(name string) string { return scopeOfClaim[name] }

// Allowance is what the user allows the client with the request: its scope, and the
// scopes of the claims that it asks for by name. A claim that the client has no scope for
// is left out, and needs none.
func (r AuthorizationRequest) Allowance(c Client) string {
	if r.Claims == nil {
		return r.Scope
	}
	var more []string
	for _, claims := range []map[string]ClaimOptions{r.Claims.UserInfo, r.Claims.IDToken} {
		for name := range claims {
			if scope := ScopeOfClaim(name); scope != "" && slices.Contains(c.Scopes, scope) && !slices.Contains(more, scope) {
				more = append(more, scope)
			}
		}
	}
	slices.Sort(more)
	return JoinScopes(r.Scope, strings.Join(more, " "))
}

// Texts are the texts that the claim may have; nil: any. Values of other types match no
// text, so a request for them alone leaves an empty list.
func (o ClaimOptions) Texts() []string {
	all := o.Values
	if len(o.Value) > 0 && string(o.Value) != "null" {
		all = append([]json.RawMessage{o.Value}, all...)
	}
	if len(all) == 0 {
		return nil
	}
	texts := []string{}
	for _, value := range all {
		var text string
		if json.Unmarshal(value, &text) == nil && string(value) != "null" {
			texts = append(texts, text)
		}
	}
	return texts
}

// Subjects are the users that the ID token may be about, by the requested value of the
// claim sub; nil: any (OpenID Connect Core 5.5.1).
func (r AuthorizationRequest) Subjects() []string {
	if r.Claims == nil {
		return nil
	}
	return r.Claims.IDToken["sub"].Texts()
}

// EssentialACR returns the authentication context classes of which the ID token must
// have one (OpenID Connect Core 5.5.1.1); nil: none is essential.
func (r AuthorizationRequest) EssentialACR() []string {
	if r.Claims == nil || !r.Claims.IDToken["acr"].Essential {
		return nil
	}
	return r.Claims.IDToken["acr"].Texts()
}

package oauth

import (
	"net/url"
	"slices"
	"strings"
)

// The scopes of this server, OpenID Connect Core 5.4 and 11 and our own.
const (
	ScopeOpenID        = "openid"
	ScopeProfile       = "profile"
	ScopeEmail         = "email"
	ScopeAddress       = "address"
	ScopePhone         = "phone"
	ScopeGroups        = "groups"
	ScopeRoles         = "roles"
	ScopeOrg           = "org"
	ScopeOfflineAccess = "offline_access"
	ScopeAccount       = "account" // reads and edits the own profile, sessions and consents in the JSON API
	ScopeAdmin         = "admin"   // acts in the JSON API with the rights of the user, at most those of the client's role
)

// Scopes are the scopes of this server.
func Scopes() []string {
	return []string{
		ScopeOpenID, ScopeProfile, ScopeEmail, ScopeAddress, ScopePhone, ScopeGroups, ScopeRoles, ScopeOrg,
		ScopeOfflineAccess, ScopeAccount, ScopeAdmin,
	}
}

// readScope reads the scope. Unknown values are ignored (OpenID Connect Core 3.1.2.1),
// and so is offline_access of a client without refresh tokens (section 11); a value that
// the client would have to be given is refused.
func (r *AuthorizationRequest) readScope(params url.Values, c Client) error {
	var scopes []string
	for scope := range strings.FieldsSeq(params.Get("scope")) {
		switch allowed := slices.Contains(c.Scopes, scope); {
		case slices.Contains(scopes, scope):
		case scope == ScopeOfflineAccess && !c.Allows(GrantRefresh):
		case allowed:
			scopes = append(scopes, scope)
		case slices.Contains(Scopes(), scope):
			return Refuse(InvalidScope, "the client is not registered for the scope "+scope)
		}
	}
	if len(scopes) == 0 {
		return Refuse(InvalidScope, "scope has none of the scopes of the client")
	}
	r.Scope = strings.Join(scopes, " ")
	return nil
}

// MissingScopes returns the scopes of wanted that are not in granted.
func MissingScopes(wanted, granted string) (missing []string) {
	has := strings.Fields(granted)
	for scope := range strings.FieldsSeq(wanted) {
		if !slices.Contains(has, scope) {
			missing = append(missing, scope)
		}
	}
	return missing
}

// JoinScopes returns the scopes of both, without duplicates.
func JoinScopes(a, b string) string {
	return strings.Join(append(strings.Fields(a), MissingScopes(b, a)...), " ")
}

// HasAudience reports whether the client may get tokens for the audience. issuer is the
// audience of a client that has no other, and of the scopes account and admin.
func (c Client) HasAudience(audience, issuer string) bool {
	if audience == issuer {
		return len(c.Audiences) == 0 || slices.Contains(c.Audiences, issuer) || servesAPI(c.Scopes)
	}
	return slices.Contains(c.Audiences, audience)
}

// servesAPI reports whether a token of the scopes is one for our own API.
func servesAPI(scopes []string) bool {
	return slices.Contains(scopes, ScopeAccount) || slices.Contains(scopes, ScopeAdmin)
}

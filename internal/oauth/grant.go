package oauth

import (
	"slices"
	"strings"
)

// NarrowScope returns the scope of an access token: what was granted, or the part of it
// that the client asks for (RFC 6749 section 6). It never has more than the client is
// registered for now.
func NarrowScope(c Client, granted, asked string) (string, error) {
	var scopes []string
	wanted := strings.Fields(asked)
	for _, scope := range wanted {
		if !slices.Contains(strings.Fields(granted), scope) {
			return "", Refuse(InvalidScope, "scope has a value that was not granted")
		}
	}
	for scope := range strings.FieldsSeq(granted) {
		if slices.Contains(c.Scopes, scope) && (len(wanted) == 0 || slices.Contains(wanted, scope)) {
			scopes = append(scopes, scope)
		}
	}
	return strings.Join(scopes, " "), nil
}

// OwnScope returns the scope of a token that a client gets for itself: what it is
// registered for, or the part of that it asks for (RFC 6749 section 4.4.2). Scopes that
// are about a user are never in it.
func OwnScope(c Client, asked string) (string, error) {
	var own []string
	for _, scope := range c.Scopes {
		if !aboutUser(scope) {
			own = append(own, scope)
		}
	}
	return NarrowScope(c, strings.Join(own, " "), asked)
}

func aboutUser(scope string) bool {
	return slices.Contains([]string{
		ScopeOpenID, ScopeProfile, ScopeEmail, ScopeAddress, ScopePhone, ScopeGroups, ScopeOfflineAccess, ScopeAccount,
	}, scope)
}

// Audience returns the one audience of an access token with the scope (RFC 8707 section
// 2.2): the resource asked for, which must be one of those granted; else the first that
// was granted, else the first audience of the client. Tokens for the API of the issuer
// have no other audience.
func Audience(c Client, issuer, scope string, granted, asked []string) (string, error) {
	ours := servesAPI(strings.Fields(scope))
	switch {
	case len(asked) > 1:
		return "", Refuse(InvalidTarget, "a token has one audience: ask for one resource")
	case len(asked) == 1 && asked[0] != "":
		if !c.HasAudience(asked[0], issuer) || len(granted) > 0 && !slices.Contains(granted, asked[0]) {
			return "", Refuse(InvalidTarget, "resource was not granted to the client")
		}
		if ours && asked[0] != issuer {
			return "", Refuse(InvalidTarget, "the scopes account and admin are for tokens of this server only")
		}
		return asked[0], nil
	case ours:
		return issuer, nil
	}
	for _, audience := range granted {
		if c.HasAudience(audience, issuer) {
			return audience, nil
		}
	}
	switch {
	case len(granted) > 0:
		return "", Refuse(InvalidTarget, "the client is not registered for the granted resource any more")
	case len(c.Audiences) > 0:
		return c.Audiences[0], nil
	default:
		return issuer, nil
	}
}

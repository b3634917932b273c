package picoauth

import (
	"net/http"
	"slices"
	"strings"
)

// HasScope reports whether the token has the scope, or one that includes it: "*"
// includes every scope, and "notes:*" includes "notes" and all below it, such as
// "notes:read" and "notes:read:own". A star elsewhere is an ordinary character. The
// Python client library has the same rules.
func (s *SecurityContext) HasScope(scope string) bool {
	for _, granted := range s.Scopes {
		if granted == scope || granted == "*" {
			return true
		}
		if above, ok := strings.CutSuffix(granted, ":*"); ok && (scope == above || strings.HasPrefix(scope, above+":")) {
			return true
		}
	}
	return false
}

// RequireScope is middleware that lets a request pass whose token has at least one
// of the scopes, as HasScope does. To require several scopes together, nest it. It
// goes inside Guard.Require or Guard.Optional. A request without a token is refused
// with 401, one without the scopes with 403; the challenge names them. RequireScope
// panics without a scope, and for one with characters that RFC 6749 section 3.3 does
// not allow.
//
// A token of a login has no scope, since it may do all that its user may: routes that
// such tokens may use, too, check the role.
func RequireScope(scopes ...string) func(http.Handler) http.Handler {
	for _, scope := range scopes {
		if scope == "" || strings.ContainsFunc(scope, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			panic("picoauth: RequireScope: not a scope")
		}
	}
	if len(scopes) == 0 {
		panic("picoauth: RequireScope: no scope")
	}
	refusal := insufficientScope("the token lacks the scope that this needs")
	refusal.scope = strings.Join(scopes, " ")
	return demand(refusal, func(who *SecurityContext) bool {
		return slices.ContainsFunc(scopes, who.HasScope)
	})
}

package picoauth

import "net/http"

// RequireRole lets a request pass whose holder has any of the roles, compared as
// exact names: list every role that may pass. Without a holder the answer is
// 401, with another role 403. Without roles nobody passes.
func RequireRole(roles ...string) func(http.Handler) http.Handler {
	return require("this needs another role", func(who *SecurityContext) bool { return who.HasRole(roles...) })
}

// RequireGroup lets a request pass whose holder is in any of the groups, named by
// id. To demand several groups at once, nest it. Without a holder the answer is
// 401, outside the groups 403. Without ids nobody passes.
func RequireGroup(ids ...string) func(http.Handler) http.Handler {
	return require("this needs membership of another group", func(who *SecurityContext) bool { return who.InGroup(ids...) })
}

func require(detail string, pass func(*SecurityContext) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who, ok := FromContext(r.Context())
			switch {
			case !ok:
				asRefusal(ErrNoToken).write(w)
			case !pass(who):
				insufficientScope(detail).write(w)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

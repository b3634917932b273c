package picoauth

import (
	"context"
	"slices"
	"time"
)

// SecurityContext is who makes a request, as a verified token says. It belongs
// to one request; do not change it.
type SecurityContext struct {
	Subject   string         // sub, the person's id; never empty
	Email     string         // empty: the token has none
	Role      string         // such as "viewer"; empty: the token has none
	OrgID     string         // organisation; empty: the token has none
	Groups    []string       // ids of groups; never nil
	TokenID   string         // jti; empty: the token has none
	SessionID string         // sid, the same for all tokens of one login; empty: the token has none
	ExpiresAt time.Time      // exp
	Claims    map[string]any // all claims, as encoding/json decodes them, numbers as json.Number
}

// HasRole reports whether the role is one of those named. Roles are compared as
// names: a superadmin does not have the role "viewer".
func (s *SecurityContext) HasRole(roles ...string) bool {
	return s.Role != "" && slices.Contains(roles, s.Role)
}

// InGroup reports whether at least one of the groups named by id is among the
// token's.
func (s *SecurityContext) InGroup(ids ...string) bool {
	return slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(s.Groups, id) })
}

type contextKey struct{}

// NewContext returns a context that carries who. Guard does this itself; it is
// exported for tests of handlers and for services with a transport of their own.
func NewContext(ctx context.Context, who *SecurityContext) context.Context {
	return context.WithValue(ctx, contextKey{}, who)
}

// FromContext returns who makes the request of ctx; false when nobody signed in,
// as happens behind Optional and outside any Guard.
func FromContext(ctx context.Context) (*SecurityContext, bool) {
	who, ok := ctx.Value(contextKey{}).(*SecurityContext)
	return who, ok && who != nil
}

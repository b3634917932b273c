package picoauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/pico-auth/pico-auth/internal/jose"
)

// SecurityContext is the user that makes a request, according to a verified token.
// It belongs to one request; do not change it.
type SecurityContext struct {
	Subject   string    // sub, the id of the user, or that of the service token or client where no user is involved; never empty
	Email     string    // empty: the token has none
	Role      Role      // zero: the token has none, or one that this package does not know
	OrgID     string    // organization; empty: the token has none
	Groups    []string  // ids of groups, or their names as auth.group_claim says; never nil
	Scopes    []string  // scope, what the client may do for the user; never nil; empty: the token of a login
	TokenID   string    // jti; empty: the token has none
	SessionID string    // sid, the same for all tokens of one session; empty: the token has none
	ClientID  string    // client_id, the client that the token was issued to (RFC 9068); empty: a token of the JSON login
	ExpiresAt time.Time // exp
	// GroupsTruncated says that the user is in more groups than the token names:
	// GET /api/v1/auth/me has all.
	GroupsTruncated bool
	// Claims is the signed payload of the token. Read it with Decode.
	Claims json.RawMessage
}

// InGroup reports whether at least one of the groups, given as in the claim groups, is
// among the token's. A group that was left out of a truncated token is not.
func (s *SecurityContext) InGroup(ids ...string) bool {
	return slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(s.Groups, id) })
}

// Decode stores the token's claims in v as json.Unmarshal does, for claims that
// SecurityContext has no field for:
//
//	var own struct {
//		Tenant string   `json:"tenant"`
//		Limits []string `json:"limits"`
//	}
//	if err := who.Decode(&own); err != nil {
//
// A Guard keeps the claims encoded; they are decoded only here.
// json.Unmarshal also accepts a name in another case for a field;
// Decode fails when that would be ambiguous: names that differ only in case,
// or one that differs only in case from a claim that a Guard reads.
func (s *SecurityContext) Decode(v any) error {
	claims, err := jose.ParseObject(s.Claims)
	if err != nil {
		return errors.New("picoauth: there are no claims to decode")
	}
	folded := make(map[string]bool, len(claims))
	for name := range claims {
		key := strings.Map(fold, name)
		if folded[key] || slices.ContainsFunc(standard, func(s string) bool { return s != name && strings.EqualFold(s, name) }) {
			return errors.New("picoauth: the token has claims whose names differ only in case")
		}
		folded[key] = true
	}
	if err := json.Unmarshal(s.Claims, v); err != nil {
		return fmt.Errorf("picoauth: decode the token's claims: %w", err)
	}
	return nil
}

// fold returns the same rune for all that encoding/json treats as equal.
func fold(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}

// standard are the claims that a Guard reads.
var standard = []string{"iss", "aud", "sub", "exp", "iat", "nbf", "email", "role", "org_id", "groups", "groups_truncated", "scope", "jti", "sid", "client_id"}

type contextKey struct{}

// NewContext returns a context that carries who. A Guard does this itself; it is
// exported for tests of handlers and for services with a transport of their own.
func NewContext(ctx context.Context, who *SecurityContext) context.Context {
	return context.WithValue(ctx, contextKey{}, who)
}

// FromContext returns the user that makes the request of ctx; false when there
// is none, as after Optional and outside any Guard.
func FromContext(ctx context.Context) (*SecurityContext, bool) {
	who, ok := ctx.Value(contextKey{}).(*SecurityContext)
	return who, ok && who != nil
}

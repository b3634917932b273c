package picoauth

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
)

// maxNumericDate is the last second of the year 9999, far below where a float64
// stops counting seconds and time.Time wraps around.
const maxNumericDate = 253402300799

// rules are the rules for the claims of a token with a valid signature.
type rules struct {
	issuer, audience string
	early, late      time.Duration // tolerance before iat and nbf, and after exp
}

// check returns the claims in payload, or the *Refusal. The result keeps
// payload.
func (p rules) check(payload []byte, now time.Time) (*SecurityContext, error) {
	claims, err := jose.ParseObject(payload)
	if err != nil {
		return nil, invalidToken("the token's claims are malformed", err)
	}
	r := claimReader{claims: claims}
	who := &SecurityContext{
		Subject:   r.required("sub"),
		Email:     r.optional("email"),
		Role:      roleNamed(r.optional("role")),
		OrgID:     r.optional("org_id"),
		TokenID:   r.optional("jti"),
		SessionID: r.optional("sid"),
		ClientID:  r.optional("client_id"),
		Groups:    r.strings("groups"),
		Scopes:    strings.Fields(r.optional("scope")),
		ExpiresAt: r.date("exp"),
		Claims:    payload,

		GroupsTruncated: r.flag("groups_truncated"),
	}
	issuer, audience, issuedAt := r.required("iss"), r.audience(), r.date("iat")
	r.refuseIDToken()
	notBefore := issuedAt
	if _, ok := claims["nbf"]; ok {
		notBefore = r.date("nbf")
	}
	switch {
	case r.fault != "":
		return nil, invalidToken(r.fault, nil)
	case issuer != p.issuer:
		return nil, invalidToken("the token is of another issuer", nil)
	case !slices.Contains(audience, p.audience):
		return nil, invalidToken("the token is for another audience", nil)
	case !now.Before(who.ExpiresAt.Add(p.late)):
		return nil, invalidToken("the token has expired", nil)
	case issuedAt.After(now.Add(p.early)), notBefore.After(now.Add(p.early)):
		return nil, invalidToken("the token is not valid yet", nil)
	}
	return who, nil
}

// claimReader reads claims from a map by exact name and keeps the first fault.
// A claim that is null has the wrong type.
type claimReader struct {
	claims map[string]any
	fault  string
}

func (r *claimReader) fail(name, what string) {
	if r.fault == "" {
		r.fault = "the token's claim " + name + " " + what
	}
}

// refuseIDToken refuses tokens that tell a client about a sign-in (OpenID
// Connect Core 1.0, sections 2 and 3.3.2.11). They are not meant for access, and an
// access token has none of these claims.
func (r *claimReader) refuseIDToken() {
	for _, name := range []string{"nonce", "at_hash", "c_hash"} {
		if _, ok := r.claims[name]; ok && r.fault == "" {
			r.fault = "the token is an ID token, not an access token"
		}
	}
}

func (r *claimReader) required(name string) string {
	s := r.optional(name)
	if s == "" {
		r.fail(name, "is missing")
	}
	return s
}

func (r *claimReader) optional(name string) string {
	v, ok := r.claims[name]
	if !ok {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		r.fail(name, "is not a string")
	}
	return s
}

// flag is an optional claim that is true or false.
func (r *claimReader) flag(name string) bool {
	v, ok := r.claims[name]
	if !ok {
		return false
	}
	set, ok := v.(bool)
	if !ok {
		r.fail(name, "is not true or false")
	}
	return set
}

func (r *claimReader) strings(name string) []string {
	v, ok := r.claims[name]
	if !ok {
		return []string{}
	}
	items, ok := v.([]any)
	if !ok {
		r.fail(name, "is not an array")
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		s, ok := item.(string)
		if !ok {
			r.fail(name, "is not an array of strings")
		}
		list = append(list, s)
	}
	return list
}

// audience reads aud, one string or several (RFC 7519 section 4.1.3).
func (r *claimReader) audience() []string {
	switch r.claims["aud"].(type) {
	case string:
		return []string{r.required("aud")}
	case []any:
		return r.strings("aud")
	case nil:
		r.fail("aud", "is missing")
	default:
		r.fail("aud", "is neither a string nor an array")
	}
	return nil
}

// date reads a NumericDate (RFC 7519 section 2): seconds since 1970, optionally
// with a fraction.
func (r *claimReader) date(name string) time.Time {
	v, ok := r.claims[name]
	if !ok {
		r.fail(name, "is missing")
		return time.Time{}
	}
	number, ok := v.(json.Number)
	if !ok {
		r.fail(name, "is not a number")
		return time.Time{}
	}
	seconds, err := strconv.ParseFloat(number.String(), 64)
	if err != nil || !(seconds >= 0 && seconds <= maxNumericDate) {
		r.fail(name, "is not a date")
		return time.Time{}
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)).UTC()
}

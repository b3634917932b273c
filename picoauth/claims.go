package picoauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxDepth bounds the nesting of claims, and with it the decoder's stack.
	maxDepth = 20
	// maxNumericDate is the last second of the year 9999, far below where a
	// float64 stops counting seconds and time.Time wraps around.
	maxNumericDate = 253402300799
)

// rules are what the claims of a token with a good signature are held against.
type rules struct {
	issuer, audience string
	early, late      time.Duration // grace before iat and nbf, and after exp
}

// check returns the holder that payload describes, or the *Refusal.
func (p rules) check(payload []byte, now time.Time) (*SecurityContext, error) {
	claims, err := decodeClaims(payload)
	if err != nil {
		return nil, invalidToken("the token's claims are malformed", err)
	}
	r := claimReader{claims: claims}
	who := &SecurityContext{
		Subject:   r.required("sub"),
		Email:     r.optional("email"),
		Role:      r.optional("role"),
		OrgID:     r.optional("org_id"),
		TokenID:   r.optional("jti"),
		SessionID: r.optional("sid"),
		Groups:    r.strings("groups"),
		ExpiresAt: r.date("exp"),
		Claims:    claims,
	}
	issuer, audience, issuedAt := r.required("iss"), r.audience(), r.date("iat")
	notBefore := issuedAt
	if _, ok := claims["nbf"]; ok {
		notBefore = r.date("nbf")
	}
	switch {
	case r.fault != "":
		return nil, invalidToken(r.fault, nil)
	case issuer != p.issuer:
		return nil, invalidToken("the token is of another issuer", nil)
	case !contains(audience, p.audience):
		return nil, invalidToken("the token is for another audience", nil)
	case !now.Before(who.ExpiresAt.Add(p.late)):
		return nil, invalidToken("the token has expired", nil)
	case issuedAt.After(now.Add(p.early)), notBefore.After(now.Add(p.early)):
		return nil, invalidToken("the token is not valid yet", nil)
	}
	return who, nil
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}

// claimReader takes claims out of a map by exact name and keeps the first fault.
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

// date reads a NumericDate (RFC 7519 section 2): seconds since 1970, perhaps
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

var (
	errNotObject   = errors.New("not a JSON object")
	errEncoding    = errors.New("not valid Unicode")
	errDuplicate   = errors.New("a name occurs twice")
	errTooDeep     = errors.New("nested too deeply")
	errTrailing    = errors.New("data after the object")
	errUnsupported = errors.New("unexpected token")
)

// decodeClaims decodes one JSON object as encoding/json would, and refuses what
// it lets pass: invalid UTF-8 and lone surrogates, which become U+FFFD, and
// names that occur twice, at any depth. Two verifiers that read such claims
// differently are how one token comes to mean two things.
func decodeClaims(payload []byte) (map[string]any, error) {
	if !utf8.Valid(payload) {
		return nil, errEncoding
	}
	d := claimDecoder{json.NewDecoder(bytes.NewReader(payload))}
	d.UseNumber()
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	claims, ok := v.(map[string]any)
	if !ok {
		return nil, errNotObject
	}
	if len(bytes.TrimLeft(payload[d.InputOffset():], " \t\r\n")) > 0 {
		return nil, errTrailing
	}
	return claims, nil
}

type claimDecoder struct{ *json.Decoder }

func (d claimDecoder) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		switch t {
		case '{':
			return d.object(depth)
		case '[':
			return d.array(depth)
		}
		return nil, errUnsupported
	case string:
		return t, checkText(t)
	default:
		return t, nil
	}
}

func (d claimDecoder) object(depth int) (map[string]any, error) {
	members := make(map[string]any, 16)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, errUnsupported
		}
		if err := checkText(name); err != nil {
			return nil, err
		}
		if _, taken := members[name]; taken {
			return nil, errDuplicate
		}
		if members[name], err = d.value(depth + 1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return members, err
}

func (d claimDecoder) array(depth int) ([]any, error) {
	items := []any{}
	for d.More() {
		item, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	_, err := d.Token()
	return items, err
}

// checkText refuses the replacement character: either a lone surrogate was
// decoded, or somebody else's decoder has already lost what was there.
func checkText(s string) error {
	if strings.ContainsRune(s, utf8.RuneError) {
		return errEncoding
	}
	return nil
}

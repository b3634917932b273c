package jose

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// JWK is one public key of a key set. It has no fields for private members.
type JWK struct {
	Kty string `json:"kty"`
	Kid string `json:"kid,omitempty"`
	Use string `json:"use,omitempty"`
	Alg string `json:"alg,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	Pub string `json:"pub,omitempty"`
}

// JWKSet is a key set as RFC 7517 section 5 publishes it.
type JWKSet struct {
	Keys []JWK `json:"keys"`
}

// MaxKeySet is the size in bytes above which ParseJWKSet refuses to read.
const MaxKeySet = 1 << 20

// ParseJWK returns the key that k describes. Where k names no algorithm, its
// kty and crv must determine it; AKP keys must name one.
func ParseJWK(k JWK) (*PublicKey, error) {
	row, err := rowOf(k)
	if err != nil {
		return nil, err
	}
	if k.Use != "" && k.Use != "sig" {
		return nil, fmt.Errorf("%w: not for signatures", ErrKey)
	}
	half, err := row.fromJWK(k)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return newPublicKey(row, half), nil
}

func rowOf(k JWK) (*algorithm, error) {
	if k.Alg != "" {
		row, err := lookup(Algorithm(k.Alg))
		if err != nil {
			return nil, err
		}
		if row.kty != k.Kty || row.crv != k.Crv {
			return nil, fmt.Errorf("%w: kty or crv do not belong to alg", ErrKey)
		}
		return row, nil
	}
	for i := range table {
		if row := &table[i]; row.kty == k.Kty && row.crv == k.Crv && k.Kty != "AKP" {
			return row, nil
		}
	}
	return nil, fmt.Errorf("%w: no algorithm for kty and crv", ErrAlgorithm)
}

// ParseJWKSet returns the usable keys of a key set by kid. The set as a whole
// must be valid: an object without duplicate members, at most MaxKeySet bytes, no
// kid for two usable keys. Single entries that cannot be used here (of unknown
// types or algorithms, for encryption, without kid, faulty, symmetric, or with
// private members, which must never be trusted again) are skipped, so that the
// others keep working.
func ParseJWKSet(data []byte) (map[string]*PublicKey, error) {
	if len(data) > MaxKeySet {
		return nil, fmt.Errorf("%w: a key set of more than %d bytes", ErrKey, MaxKeySet)
	}
	set, err := ParseObject(data)
	if err != nil {
		return nil, fmt.Errorf("%w: key set: %w", ErrKey, err)
	}
	entries, ok := set["keys"].([]any)
	if !ok {
		return nil, fmt.Errorf("%w: a key set without the array keys", ErrKey)
	}
	keys := make(map[string]*PublicKey, len(entries))
	for _, entry := range entries {
		members, ok := entry.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%w: a key set with an entry that is no object", ErrKey)
		}
		kid, key, err := parseEntry(members)
		if err != nil {
			continue
		}
		if keys[kid] != nil {
			return nil, fmt.Errorf("%w: a key set with one kid for two keys", ErrKey)
		}
		keys[kid] = key
	}
	return keys, nil
}

// privateMembers are the members of RFC 7518 section 6 and RFC 9964 that no
// public key has.
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

func parseEntry(members map[string]any) (kid string, key *PublicKey, err error) {
	for _, name := range privateMembers {
		if _, found := members[name]; found {
			return "", nil, fmt.Errorf("%w: private", ErrKey)
		}
	}
	if operations, found := members["key_ops"]; found {
		if list, ok := operations.([]any); !ok || !slices.Contains(list, any("verify")) {
			return "", nil, fmt.Errorf("%w: not for verifying", ErrKey)
		}
	}
	var jwk JWK
	for name, target := range map[string]*string{
		"kty": &jwk.Kty, "kid": &jwk.Kid, "use": &jwk.Use, "alg": &jwk.Alg, "n": &jwk.N, "e": &jwk.E,
		"crv": &jwk.Crv, "x": &jwk.X, "y": &jwk.Y, "pub": &jwk.Pub,
	} {
		if value, found := members[name]; found {
			text, ok := value.(string)
			if !ok {
				return "", nil, fmt.Errorf("%w: a member that is no string", ErrKey)
			}
			*target = text
		}
	}
	if jwk.Kid == "" {
		return "", nil, errors.New("no kid")
	}
	key, err = ParseJWK(jwk)
	return jwk.Kid, key, err
}

// thumbprint is SHA-256 over the required members in lexical order (RFC 7638
// section 3, RFC 8037 section 2, RFC 9964). Their values are base64url or
// registered names and need no escaping.
func thumbprint(k JWK) string {
	var canonical string
	switch k.Kty {
	case "RSA":
		canonical = `{"e":"` + k.E + `","kty":"RSA","n":"` + k.N + `"}`
	case "EC":
		canonical = `{"crv":"` + k.Crv + `","kty":"EC","x":"` + k.X + `","y":"` + k.Y + `"}`
	case "OKP":
		canonical = `{"crv":"` + k.Crv + `","kty":"OKP","x":"` + k.X + `"}`
	case "AKP":
		canonical = `{"alg":"` + k.Alg + `","kty":"AKP","pub":"` + k.Pub + `"}`
	}
	sum := sha256.Sum256([]byte(canonical))
	return encode(sum[:])
}

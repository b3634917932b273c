package oauth

import (
	"net/url"
	"strings"
)

// UserCodeLetters are the letters of a user code: consonants, so that none spells a word
// (RFC 8628 section 6.1).
const UserCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"

// userCodeLength is the number of letters of a user code: 34 bits.
const userCodeLength = 8

// NewUserCode returns the user code that the random bytes spell.
func NewUserCode(random [userCodeLength]uint32) string {
	var code [userCodeLength]byte
	for i, n := range random {
		code[i] = UserCodeLetters[n%uint32(len(UserCodeLetters))]
	}
	return string(code[:])
}

// ShowUserCode returns a user code as users read it, WDJB-MJHT.
func ShowUserCode(code string) string {
	if len(code) != userCodeLength {
		return code
	}
	return code[:4] + "-" + code[4:]
}

// ParseUserCode reads what a user typed: case and punctuation do not count (RFC 8628
// section 6.1). Text that cannot be a user code is empty.
func ParseUserCode(typed string) string {
	if len(typed) > 64 {
		return ""
	}
	var code []byte
	for _, c := range []byte(strings.ToUpper(typed)) {
		switch {
		case strings.IndexByte(UserCodeLetters, c) >= 0:
			code = append(code, c)
		case c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80:
			return ""
		}
	}
	if len(code) != userCodeLength {
		return ""
	}
	return string(code)
}

// ParseDeviceAuthorization reads what a device asks for (RFC 8628 section 3.1): a scope
// and the audiences of its tokens, by the rules of an authorization request.
func ParseDeviceAuthorization(params url.Values, c Client, issuer string) (scope string, resources []string, err error) {
	if !c.Allows(GrantDevice) {
		return "", nil, Refuse(UnauthorizedClient, "the client is not registered for the device grant")
	}
	var r AuthorizationRequest
	if err := r.readScope(params, c); err != nil {
		return "", nil, err
	}
	if err := r.readResources(params, c, issuer); err != nil {
		return "", nil, err
	}
	return r.Scope, r.Resources, nil
}

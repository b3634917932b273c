package jose

import (
	"encoding/base64"
	"errors"
	"strings"
)

// strict64 refuses padding and bits beyond the last whole byte.
var strict64 = base64.RawURLEncoding.Strict()

var errBase64 = errors.New("not base64url")

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decode accepts exactly one spelling of each byte string. Go's decoder skips
// line breaks even in strict mode, which would give a token many.
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errBase64
	}
	b, err := strict64.DecodeString(s)
	if err != nil {
		return nil, errBase64 // the decoder's own error would tell where, and nobody acts on that
	}
	return b, nil
}

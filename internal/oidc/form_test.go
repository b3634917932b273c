package oidc

import (
	"errors"
	"testing"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

// RFC 6749 section 3.2: parameters sent without a value are omitted, unknown ones are
// ignored, and none is repeated. RFC 8707 section 2: resource may be.
func TestRFC6749Section32Parameters(t *testing.T) {
	for text, want := range map[string]string{
		"a=1&b=2":                             "1",
		"a=1&unknown=x&unknown2=":             "1",
		"a=":                                  "",
		"a=1&a=1":                             "refused",
		"a=1&A=2":                             "1",
		"a=1&resource=x&resource=y&resource=": "1",
		"a=%2":                                "refused",
		"a=1;b=2":                             "refused",
		"a=%ff":                               "refused",
		"a=%00":                               "refused",
		"":                                    "",
	} {
		values, err := parseForm(text)
		got := values.Get("a")
		if err != nil {
			got = "refused"
			if e, ok := errors.AsType[*oauth.Error](err); !ok || e.Code != oauth.InvalidRequest {
				t.Errorf("%q: %v", text, err)
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

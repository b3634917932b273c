package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/web"
)

const formType = "application/x-www-form-urlencoded"

// readForm reads the form of a POST. Parameters of the query do not count: they end in
// logs (RFC 6749 section 2.3.1).
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	body, err := web.ReadBody(w, r, formType, true)
	if err != nil {
		return nil, err
	}
	return parseForm(string(body))
}

// parseForm parses parameters. Unknown ones are ignored, those without a value count
// as omitted, and repeated ones are refused, except resource (RFC 6749 section 3.2, RFC 8707
// section 2).
func parseForm(text string) (url.Values, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, oauth.Refuse(oauth.InvalidRequest, "the parameters are not well formed")
	}
	for name, all := range values {
		if len(all) > 1 && name != "resource" {
			return nil, oauth.Refuse(oauth.InvalidRequest, "a parameter occurs more than once")
		}
		for _, value := range all {
			if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
				return nil, oauth.Refuse(oauth.InvalidRequest, "a parameter is not valid UTF-8 text")
			}
		}
		if len(all) == 1 && all[0] == "" {
			delete(values, name)
		}
	}
	return values, nil
}

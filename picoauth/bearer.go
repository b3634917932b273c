package picoauth

import (
	"net/http"
	"strings"
)

// bearerToken returns the token of a request. Only the Authorization header is
// read: tokens in queries end up in logs, and parsing a form would consume the body
// before its handler. A token in the query in addition to one in the header is
// refused, as RFC 6750 section 2 requires.
func bearerToken(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	switch len(values) {
	case 0:
		return "", ErrNoToken
	case 1:
	default:
		return "", invalidRequest("the request has more than one Authorization header")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", ErrNoToken
	}
	token = strings.Trim(token, " ")
	if token == "" || strings.ContainsAny(token, " ,\t") {
		return "", invalidRequest("the Authorization header must be the word Bearer, a space and one token")
	}
	if strings.Contains(r.URL.RawQuery, "access_token=") {
		return "", invalidRequest("the request has a token in more than one place")
	}
	return token, nil
}

package oauth

import (
	"encoding/base64"
	"log/slog"
	"net/url"
	"strings"
)

// AssertionType is the value of client_assertion_type, RFC 7523 section 2.2.
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Secret is a client secret or a client assertion. Printing redacts it.
type Secret string

// String hides the secret from fmt and log.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return "[redacted]" }

// LogValue hides the secret from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// ClientCredentials says how a client presented itself at an endpoint.
type ClientCredentials struct {
	Method   string // one of the authentication methods
	ClientID string // empty with AuthPrivateKeyJWT: the subject of the assertion
	Secret   Secret // the client secret, or the assertion; empty with AuthNone
}

// ParseClientCredentials returns how a request with these Authorization headers and
// this form presents its client. A request uses one method (RFC 6749 section 2.3). The
// method is returned with an error too: it decides on WWW-Authenticate (RFC 6749
// section 5.2).
func ParseClientCredentials(authorization []string, form url.Values) (ClientCredentials, error) {
	var c ClientCredentials
	if len(authorization) > 0 {
		c.Method = AuthSecretBasic
	}
	for _, name := range []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"} {
		if len(form[name]) > 1 {
			return c, Refuse(InvalidRequest, "the parameter "+name+" is repeated")
		}
	}
	assertion, secret := form.Get("client_assertion"), form.Get("client_secret")
	c.ClientID = form.Get("client_id")
	switch methods := presented(len(authorization) > 0, form.Has("client_secret"), form.Has("client_assertion")); {
	case methods > 1:
		return c, Refuse(InvalidRequest, "the client uses more than one authentication method")
	case len(authorization) > 0:
		return parseBasic(authorization, c.ClientID)
	case form.Has("client_assertion"):
		c.Method, c.Secret = AuthPrivateKeyJWT, Secret(assertion)
		if form.Get("client_assertion_type") != AssertionType {
			return c, Refuse(InvalidClient, "client_assertion_type must be "+AssertionType)
		}
		return c, nil
	case c.ClientID == "":
		return c, Refuse(InvalidClient, "the request names no client")
	case form.Has("client_secret") && secret != "":
		c.Method, c.Secret = AuthSecretPost, Secret(secret)
		return c, nil
	default: // an empty secret is as if it were omitted, RFC 6749 section 2.3.1
		c.Method = AuthNone
		return c, nil
	}
}

func presented(methods ...bool) (n int) {
	for _, used := range methods {
		if used {
			n++
		}
	}
	return n
}

// parseBasic reads the header of client_secret_basic, whose two parts are encoded as in
// a form (RFC 6749 section 2.3.1). formID is the parameter client_id; empty: none.
func parseBasic(authorization []string, formID string) (ClientCredentials, error) {
	c := ClientCredentials{Method: AuthSecretBasic}
	scheme, encoded, _ := strings.Cut(authorization[0], " ")
	if len(authorization) > 1 || !strings.EqualFold(scheme, "Basic") {
		return c, Refuse(InvalidClient, "the Authorization header is not one of Basic authentication")
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimLeft(encoded, " "))
	id, secret, both := strings.Cut(string(raw), ":")
	if err != nil || !both {
		return c, Refuse(InvalidClient, "the Authorization header is malformed")
	}
	plainID, badID := url.QueryUnescape(id)
	plainSecret, badSecret := url.QueryUnescape(secret)
	if badID != nil || badSecret != nil {
		return c, Refuse(InvalidClient, "client id and secret in the Authorization header must be encoded as in a form")
	}
	if formID != "" && formID != plainID {
		return c, Refuse(InvalidClient, "client_id is not the client of the Authorization header")
	}
	c.ClientID, c.Secret = plainID, Secret(plainSecret)
	return c, nil
}

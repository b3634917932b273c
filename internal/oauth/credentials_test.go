package oauth_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

func basic(id, secret string) []string {
	return []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}
}

func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

// RFC 6749 section 2.3.1: client id and secret in the header are encoded as in a form.
func TestRFC6749Section231BasicCredentialsAreFormDecoded(t *testing.T) {
	for _, c := range []struct{ id, secret, wantID, wantSecret string }{
		{"app", "secret", "app", "secret"},
		{"a%3Ab", "s%3Ae%20c%2Br%25+t", "a:b", "s:e c+r% t"},
		{"app", "a:b:c", "app", "a:b:c"},
		{"app", "", "app", ""},
	} {
		got, err := oauth.ParseClientCredentials(basic(c.id, c.secret), form("client_id", c.wantID))
		want := oauth.ClientCredentials{Method: oauth.AuthSecretBasic, ClientID: c.wantID, Secret: oauth.Secret(c.wantSecret)}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s:%s: %v (-want +got):\n%s", c.id, c.secret, err, diff)
		}
	}
}

func TestClientCredentialsOfEachMethodAreRead(t *testing.T) {
	for _, c := range []struct {
		form url.Values
		want oauth.ClientCredentials
	}{
		{form("client_id", "app"), oauth.ClientCredentials{Method: oauth.AuthNone, ClientID: "app"}},
		{form("client_id", "app", "client_secret", ""), oauth.ClientCredentials{Method: oauth.AuthNone, ClientID: "app"}},
		{form("client_id", "app", "client_secret", "s"), oauth.ClientCredentials{Method: oauth.AuthSecretPost, ClientID: "app", Secret: "s"}},
		{
			form("client_assertion", "a.b.c", "client_assertion_type", oauth.AssertionType),
			oauth.ClientCredentials{Method: oauth.AuthPrivateKeyJWT, Secret: "a.b.c"},
		},
		{
			form("client_id", "app", "client_assertion", "a.b.c", "client_assertion_type", oauth.AssertionType),
			oauth.ClientCredentials{Method: oauth.AuthPrivateKeyJWT, ClientID: "app", Secret: "a.b.c"},
		},
	} {
		got, err := oauth.ParseClientCredentials(nil, c.form)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%v: %v (-want +got):\n%s", c.form, err, diff)
		}
	}
}

// RFC 6749 section 2.3: a client must not use more than one method in a request.
func TestRFC6749Section23OneMethodARequest(t *testing.T) {
	assertion := []string{"client_assertion", "a.b.c", "client_assertion_type", oauth.AssertionType}
	for _, c := range []struct {
		authorization []string
		form          url.Values
	}{
		{basic("app", "s"), form("client_secret", "s")},
		{basic("app", "s"), form(assertion...)},
		{nil, form(append(assertion, "client_id", "app", "client_secret", "s")...)},
	} {
		_, err := oauth.ParseClientCredentials(c.authorization, c.form)
		wantCode(t, oauth.InvalidRequest, err)
	}
}

func TestMalformedClientCredentialsAreRefused(t *testing.T) {
	for _, c := range []struct {
		code          oauth.Code
		authorization []string
		form          url.Values
	}{
		{oauth.InvalidClient, nil, form()},
		{oauth.InvalidClient, []string{"Bearer x"}, form("client_id", "app")},
		{oauth.InvalidClient, []string{"Basic"}, form()},
		{oauth.InvalidClient, []string{"Basic !"}, form()},
		{oauth.InvalidClient, []string{"Basic YXBw"}, form()}, // no colon
		{oauth.InvalidClient, append(basic("app", "s"), basic("app", "s")...), form()},
		{oauth.InvalidClient, basic("app%", "s"), form()},
		{oauth.InvalidClient, basic("app", "%zz"), form()},
		{oauth.InvalidClient, basic("app", "s"), form("client_id", "other")},
		{oauth.InvalidClient, nil, form("client_assertion", "a.b.c")},
		{oauth.InvalidClient, nil, form("client_assertion", "a.b.c", "client_assertion_type", "other")},
		{oauth.InvalidRequest, nil, form("client_id", "app", "client_id", "app")},
		{oauth.InvalidRequest, nil, form("client_id", "app", "client_secret", "s", "client_secret", "t")},
	} {
		_, err := oauth.ParseClientCredentials(c.authorization, c.form)
		wantCode(t, c.code, err)
	}
}

// FuzzClientCredentials looks for a panic, and for credentials of more than one method.
func FuzzClientCredentials(f *testing.F) {
	f.Add("Basic YXBwOnM=", "client_id=app")
	f.Add("", "client_id=app&client_secret=s&client_assertion=x")
	f.Fuzz(func(t *testing.T, header, body string) {
		values, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		var authorization []string
		if header != "" {
			authorization = []string{header}
		}
		c, err := oauth.ParseClientCredentials(authorization, values)
		if err != nil {
			return
		}
		if (header != "") != (c.Method == oauth.AuthSecretBasic) || header != "" && values.Has("client_secret") || values.Has("client_assertion") && c.Method != oauth.AuthPrivateKeyJWT {
			t.Errorf("%q and %q: %+v", header, body, c)
		}
	})
}

func wantCode(t *testing.T, code oauth.Code, err error) {
	t.Helper()
	if refusal, ok := errors.AsType[*oauth.Error](err); !ok || refusal.Code != code {
		t.Errorf("%v, not %s", err, code)
	}
}

func TestASecretIsNotPrinted(t *testing.T) {
	c := oauth.ClientCredentials{Method: oauth.AuthSecretPost, ClientID: "app", Secret: "hidden"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, c); len(text) == 0 || strings.Contains(text, "hidden") {
			t.Errorf("%s prints %s", format, text)
		}
	}
}

package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/web"
)

func TestTheIssuerDecidesNameAndPathOfTheCookie(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://auth.example":        "__Host-pico_session=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax",
		"https://auth.example/":       "__Host-pico_session=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax",
		"https://auth.example:8443":   "__Host-pico_session=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax",
		"https://example.com/auth/":   "__Secure-pico_session=v; Path=/auth; Max-Age=60; HttpOnly; Secure; SameSite=Lax",
		"https://localhost:8100/a/b":  "__Secure-pico_session=v; Path=/a/b; Max-Age=60; HttpOnly; Secure; SameSite=Lax",
		"http://localhost:8100":       "pico_session_8100=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax",
		"http://localhost":            "pico_session_80=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax",
		"http://127.0.0.1:1/auth":     "pico_session_1=v; Path=/auth; Max-Age=60; HttpOnly; SameSite=Lax",
		"http://[::1]:8100":           "pico_session_8100=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax",
		"http://auth.example":         "",
		"http://192.0.2.1:8100":       "",
		"http://localhost.evil.local": "",
	} {
		cookies, ok := web.NewCookies(issuer)
		if !ok {
			if want != "" {
				t.Errorf("%s: there are no cookies", issuer)
			}
			continue
		}
		w := httptest.NewRecorder()
		cookies.Set(w, web.SessionCookie, "v", time.Minute)
		if got := w.Header().Get("Set-Cookie"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", issuer, got, want)
		}
	}
}

func TestACookieWithoutALifetimeGoesWithTheBrowser(t *testing.T) {
	cookies, _ := web.NewCookies("https://auth.example")
	w := httptest.NewRecorder()
	cookies.Set(w, web.RequestCookie, "v", 0)
	cookies.Clear(w, web.SessionCookie)
	got := w.Header().Values("Set-Cookie")
	if len(got) != 2 || got[0] != "__Host-pico_request=v; Path=/; HttpOnly; Secure; SameSite=Lax" ||
		got[1] != "__Host-pico_session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax" {
		t.Errorf("got %q", got)
	}
}

// Of two cookies another server has set one; which one the browser sends first
// depends on its path.
func TestSeveralCookiesOfOneNameAreNone(t *testing.T) {
	cookies, _ := web.NewCookies("https://example.com/auth")
	for header, want := range map[string]string{
		"":                        "",
		"__Secure-pico_session=a": "a",
		"__Secure-pico_session=a; __Secure-pico_session=a": "a",
		"__Secure-pico_session=a; __Secure-pico_session=b": "",
		"__Secure-pico_session=b; x=y; pico_session=a":     "b",
		"pico_session=a":        "",
		"__Host-pico_session=a": "",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Cookie", header)
		if got := cookies.Get(r, web.SessionCookie); got != want {
			t.Errorf("%q: %q", header, got)
		}
	}
}

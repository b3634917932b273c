package web

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func TestRoutesAreUnderThePathOfTheIssuer(t *testing.T) {
	routes := []Route{open("GET", "/{$}", ok), open("GET", "/api/v1/groups/{id}", ok), open("GET", "/docs", ok), open("GET", "/docs/{id}", ok), open("GET", "/files", ok)}
	root := open("GET", "/livez", ok)
	root.RootOnly = true
	routes = append(routes, root)
	for issuer, cases := range map[string]map[string]string{
		"https://host.example": {
			"/api/v1/groups/1": "/api/v1/groups/1 1", "/": "/ ", "/auth/files": "", "/livez": "/livez ",
		},
		"https://host.example/": {
			"/api/v1/groups/1": "/api/v1/groups/1 1", "/": "/ ",
		},
		"https://host.example/auth": {
			"/auth/api/v1/groups/1": "/api/v1/groups/1 1", "/api/v1/groups/1": "/api/v1/groups/1 1",
			"/auth/files": "/files ", "/files": "/files ",
			"/auth/livez": "", "/livez": "/livez ", // RootOnly
			"/auth/": "/ ", "/auth": "/ ", "/": "/ ",
			"/auth/api/v1/groups/a%2fb": "/api/v1/groups/a%2fb a/b", "/api/v1/groups/a%2fb": "/api/v1/groups/a%2fb a/b",
			"/auth/api/v1/groups/%61": "", "/api/v1/groups/%61": "", "/api/v1/groups/a%2Db": "", "/api/v1/groups/a%2fb%7e": "", "/api/v1/groups/%2561": "/api/v1/groups/%2561 %61",
			"/auth/api/v1/groups/a-b": "/api/v1/groups/a-b a-b", "/auth/api/v1/groups/%C3%A4%20%21": "/api/v1/groups/%C3%A4%20%21 ä !",
			"/authapi/v1/groups/1": "", "/auth/auth/api/v1/groups/1": "", "/AUTH/api/v1/groups/1": "", "/%61uth/api/v1/groups/1": "",
			"/auth//api/v1/groups/1": "", "//auth/api/v1/groups/1": "", "/auth/./files": "", "/auth/../files": "", "/x/../auth/files": "",
			"/auth/api/v1/groups/..": "", "/auth/files/": "", "/auth/livez/": "", "/auth/nothing": "",
		},
		"https://host.example/auth/": {
			"/auth/api/v1/groups/1": "/api/v1/groups/1 1", "/api/v1/groups/1": "/api/v1/groups/1 1",
		},
		"https://host.example/a/b%20c": {
			"/a/b%20c/api/v1/groups/1": "/api/v1/groups/1 1", "/api/v1/groups/1": "/api/v1/groups/1 1", "/a/files": "",
		},
		// Issuers whose paths begin like routes.
		"https://host.example/api": {
			"/api/api/v1/groups/1": "/api/v1/groups/1 1", "/api/v1/groups/1": "/api/v1/groups/1 1", "/api/docs": "/docs ", "/docs": "/docs ", "/api/": "/ ",
		},
		"https://host.example/docs": {
			"/docs/docs": "/docs ", "/docs/docs/x": "/docs/x x", "/docs/x": "/docs/x x", "/docs/files": "/files ", "/docs/livez": "/docs/livez livez",
		},
	} {
		rt := mustRouter(t, Config{Issuer: issuer, Groups: []Group{plainGroup("", routes...)}})
		for path, want := range cases {
			w := get(rt, path)
			if want == "" && w.Code != http.StatusNotFound || want != "" && (w.Code != http.StatusOK || w.Body.String() != want) {
				t.Errorf("issuer %s, %s: %d %s, want %q", issuer, path, w.Code, w.Body, want)
			}
		}
	}
}

// A proxy takes each of these for another path, or for none.
func TestOnlyAnOriginIsBeforeThePath(t *testing.T) {
	rt := mustRouter(t, Config{Issuer: "https://host.example", Groups: []Group{plainGroup("", open("GET", "/docs", ok))}})
	for target, want := range map[string]int{
		"/docs": 200, "http://host.example/docs": 200, "https://host.example:8443/docs": 200, "HTTP://HOST.EXAMPLE/docs": 200,
		"ftp://host.example/docs": 404, "file:///docs": 404, "x:/docs": 404, "http:/docs": 404, "http:///docs": 404, "https:docs": 404,
		"//host.example/docs": 404, "http://host.example//docs": 404, "http://host.example/%64ocs": 404,
	} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: host.example\r\n\r\n")))
			if err != nil {
				t.Fatal(err)
			}
			want := want
			if method != "GET" && want == 200 {
				want = 405
			}
			if w := send(rt, r); w.Code != want {
				t.Errorf("%s %s: %d, want %d", method, target, w.Code, want)
			}
		}
	}
	r := httptest.NewRequest("GET", "http://host.example/docs", nil)
	r.ProtoMajor, r.ProtoMinor = 2, 0 // RFC 9113, section 8.3.1
	if w := send(rt, r); w.Code != 404 {
		t.Errorf("an origin in the path of HTTP/2: %d", w.Code)
	}
}

func TestMethodsAndPreflightsAreThoseOfTheStrippedPath(t *testing.T) {
	rt := mustRouter(t, Config{
		Issuer: "https://host.example/auth", CORSOrigins: []string{"https://app.example"},
		Groups: []Group{plainGroup("", open("GET", "/groups/{id}", ok), open("PUT", "/groups/{id}", ok))},
	})
	for _, path := range []string{"/groups/1", "/auth/groups/1"} {
		w := send(rt, httptest.NewRequest("POST", path, nil))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD, PUT" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		r := httptest.NewRequest("OPTIONS", path, nil)
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Access-Control-Request-Method", "PUT")
		if w := send(rt, r); w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Methods") != "GET, HEAD, PUT" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}

var escapedUnreserved = regexp.MustCompile(`(?i)%(2d|2e|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])`)

// A proxy limits paths as they are written, so an escape of a character that may
// stand for itself must not reach the route.
func TestEscapedUnreservedCharacterIsNotFoundInAnySegment(t *testing.T) {
	rt := mustRouter(t, Config{Issuer: "https://host.example/auth", Groups: []Group{plainGroup("",
		open("POST", "/login", ok), open("GET", "/groups/{id}", ok), open("GET", "/groups/{id}/members/{name}", ok), open("GET", "/{$}", ok))}})
	for c := range 128 {
		plain := "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
		for _, format := range []string{"%%%02x", "%%%02X"} {
			escape := fmt.Sprintf(format, c)
			for _, path := range []string{"/groups/x" + escape, "/groups/" + escape + "x", "/groups/x/members/" + escape + "x", "/auth/groups/x" + escape, "/groups/%2F" + escape} {
				want := http.StatusOK
				if strings.ContainsRune(plain, rune(c)) {
					want = http.StatusNotFound
				}
				if w := get(rt, path); w.Code != want {
					t.Errorf("%s: %d, want %d", path, w.Code, want)
				}
			}
		}
	}
	for _, path := range []string{"/%6cogin", "/%6Cogin", "/l%6fgin", "/auth/%6cogin", "/%61uth/login", "/%67roups/1", "/%2flogin", "/login%2f", "/%2e%2e/login"} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			if w := send(rt, httptest.NewRequest(method, path, nil)); w.Code != http.StatusNotFound {
				t.Errorf("%s %s: %d, want 404", method, path, w.Code)
			}
		}
	}
	for _, issuer := range []string{"https://host.example/%61uth", "https://host.example/a//b", "https://host.example/a/../b", "https://host.example//auth", "https://host.example/./auth"} {
		if _, err := New(Config{Issuer: issuer, Groups: []Group{plainGroup("")}}); err == nil {
			t.Errorf("%s is accepted, whose path no request can have", issuer)
		}
	}
}

// Every served path has the one clean spelling, with or without the issuer's path,
// and nothing is redirected.
func FuzzPathHasOneSpelling(f *testing.F) {
	rt, err := New(Config{Issuer: "https://host.example/auth", Groups: []Group{plainGroup("", open("GET", "/docs", ok), open("GET", "/groups/{id}", ok), open("GET", "/{$}", ok))}})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"/auth/docs", "/docs", "/auth", "/auth/", "//docs", "/auth//docs", "/auth/%2e%2e/docs", "/auth%2fdocs", "/groups/a%2fb", "/%64ocs", "/%67roups/1", "/%2f", "/auth/groups/%", "*", "/auth/docs?x=/auth", "/auth/docs/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		u, err := url.ParseRequestURI(address)
		if err != nil || u.Host != "" {
			t.Skip()
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL, r.RequestURI = u, address
		w := send(rt, r)
		switch w.Code {
		case http.StatusNotFound:
		case http.StatusOK:
			if escapedUnreserved.MatchString(address) && !strings.Contains(address, "?") {
				t.Errorf("%q is served", address)
			}
			path := strings.TrimPrefix(u.EscapedPath(), "/auth")
			if path != "" && path != "/" && path != "/docs" && !strings.HasPrefix(path, "/groups/") || strings.Contains(path, "//") || strings.Contains(path, "/../") {
				t.Errorf("%q is served", address)
			}
		default:
			t.Errorf("%q: %d %v", address, w.Code, w.Header())
		}
	})
}

package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Without the rule a page of another site, whose name its owner points at
// 127.0.0.1, reads what a server on this machine responds.
func TestOnlyKnownHostsAreServedWhileTheConfigurationSaysSo(t *testing.T) {
	restricted := true
	always, known := open("GET", "/livez", ok), open("GET", "/metrics", ok)
	always.Always, known.KnownHosts = true, true
	routes := []Route{open("GET", "/docs", ok), open("POST", "/login", ok), always, known}
	for issuer, hosts := range map[string]map[string]bool{
		"https://auth.Example.com:8443/auth": {
			"auth.example.com": true, "AUTH.example.com.": true, "auth.example.com:1": true, "auth.example.com:": true,
			"localhost": true, "LocalHost:8100": true, "localhost.": true, "localhost.:8100": true,
			"127.0.0.1": true, "127.0.0.1:8100": true, "127.0.0.1.": true, "127.255.0.9": true, "[::1]": true, "[::1]:8100": true, "[::ffff:127.0.0.1]:1": true, "[0:0:0:0:0:0:0:1]": true,
			"": false, ".": false, ":8100": false, "evil.example": false, "evil.example:8100": false, "localhost.evil.example": false, "notlocalhost": false,
			"localhost..": false, "auth.example.com.evil.example": false, "evil-auth.example.com": false, "x.auth.example.com": false, "localhost:8100.evil.example": false,
			"0.0.0.0": false, "[::]": false, "10.0.0.1": false, "[2001:db8::1]": false, "[::1": false, "::1": false, "[::1%25lo]": false, "[::1%lo]:80": false, "127.0.0.1.evil.example": false,
			"1270.0.1": false, "2130706433": false, "127.1": false, "auth.example.com@evil.example": false, "evil.example#localhost": false, "localhost evil": false,
		},
		"http://[2001:DB8::1]:8100": {"[2001:db8::1]": true, "[2001:db8::1]:9": true, "localhost": true, "[2001:db8::2]": false, "": false},
	} {
		rt := mustRouter(t, Config{
			Issuer: issuer, Groups: []Group{plainGroup("", routes...)},
			KnownHostsOnly: func(context.Context) bool { return restricted },
		})
		for host, served := range hosts {
			for _, line := range []string{"GET /docs", "POST /login", "GET /login", "GET /nothing", "OPTIONS /login", "GET /metrics", "GET /livez"} {
				method, path, _ := strings.Cut(line, " ")
				r := httptest.NewRequest(method, path, nil)
				r.Host = host
				for _, restricted = range []bool{true, false} {
					refused := !served && path != "/livez" && (restricted || path == "/metrics")
					if w := send(rt, r); (w.Code == http.StatusMisdirectedRequest) != refused || refused && w.Body.String() != "unknown_host" {
						t.Errorf("issuer %s, restricted %t, host %q, %s %s: %d %s", issuer, restricted, host, method, path, w.Code, w.Body)
					}
				}
			}
		}
	}
}

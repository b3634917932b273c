package picoauth_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/picoauth"
	"github.com/pico-auth/pico-auth/picoauth/picoauthtest"
)

// TestPlainHTTPGoesThroughNoProxy runs itself in a second process, since net/http
// reads the environment once a process.
func TestPlainHTTPGoesThroughNoProxy(t *testing.T) {
	if os.Getenv("PICOAUTH_BEHIND_PROXY") == "" {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			t.Error("the key set was requested from the proxy")
			w.WriteHeader(http.StatusBadGateway)
		}))
		defer proxy.Close()
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPlainHTTPGoesThroughNoProxy$")
		again.Env = append(os.Environ(), "PICOAUTH_BEHIND_PROXY=1", "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
		if out, err := again.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm("EdDSA"))
	cfg := issuer.Config()
	cfg.AllowHTTP = true
	// This host, by an address that is not loopback and so would use the proxy.
	cfg.JWKSURL = strings.Replace(issuer.JWKSURL(), "127.0.0.1", "0.0.0.0", 1)
	g, err := picoauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Verify(t.Context(), issuer.Mint()); err != nil {
		t.Error(err)
	}
}

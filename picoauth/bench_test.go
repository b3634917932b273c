package picoauth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pico-auth/pico-auth/internal/localkeys"
	"github.com/pico-auth/pico-auth/picoauth"
	"github.com/pico-auth/pico-auth/picoauth/picoauthtest"
)

// BenchmarkVerify is the cost of a guarded request; the bare RS256 check alone is
// about two thirds of it.
func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range []string{"RS256", "PS256", "ES256", "ES384", "EdDSA", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"} {
		b.Run(algorithm, func(b *testing.B) {
			issuer := picoauthtest.NewIssuer(b, picoauthtest.WithAlgorithm(algorithm))
			set := issuer.KeySet()
			g := localGuard(b, issuer, func(cfg *picoauth.Config) { cfg.Client = localkeys.Client(func() []byte { return set }, nil) })
			token := issuer.Mint(picoauthtest.Claims{"groups": []string{"g1", "g2"}})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkHandlerRefusesNoToken(b *testing.B) {
	issuer := picoauthtest.NewIssuer(b, picoauthtest.WithAlgorithm("EdDSA"))
	handler := localGuard(b, issuer).Require(http.NotFoundHandler())
	r := httptest.NewRequest("GET", "/", nil)
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
}

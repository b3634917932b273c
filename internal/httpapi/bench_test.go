package httpapi

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// BenchmarkNew is the share of the API in the start of the server.
func BenchmarkNew(b *testing.B) {
	cfg := Config{Issuer: testIssuer()}
	for b.Loop() {
		New(cfg)
	}
}

// BenchmarkMe is an authenticated request: the verification of a signature, one
// read of the database, one small response.
func BenchmarkMe(b *testing.B) {
	r := newRig(b)
	access := r.as(identity.Viewer, "default")
	req := httptest.NewRequest(http.MethodGet, "/api/v1/auth/me", nil)
	req.Header.Set("Authorization", "Bearer "+access)
	r.benchmark(b, req, http.StatusOK)
}

// BenchmarkKeySet is a response from memory.
func BenchmarkKeySet(b *testing.B) {
	r := newRig(b)
	r.benchmark(b, httptest.NewRequest(http.MethodGet, "/api/v1/auth/jwks", nil), http.StatusOK)
}

func (r *rig) benchmark(b *testing.B, req *http.Request, status int) {
	b.ReportAllocs()
	for b.Loop() {
		rec := httptest.NewRecorder()
		r.router.ServeHTTP(rec, req)
		if rec.Code != status {
			b.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
}

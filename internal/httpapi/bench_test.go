package httpapi

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// BenchmarkNew is what the API adds to the start of the server.
func BenchmarkNew(b *testing.B) {
	cfg := Config{Issuer: testIssuer()}
	for b.Loop() {
		New(cfg)
	}
}

// BenchmarkMe is an authenticated request: a signature to verify, one read of
// the database, one small answer.
func BenchmarkMe(b *testing.B) {
	r := newRig(b)
	access := r.as(identity.Viewer, "default")
	req := httptest.NewRequest(http.MethodGet, "/api/v1/auth/me", nil)
	req.Header.Set("Authorization", "Bearer "+access)
	r.benchmark(b, req, http.StatusOK)
}

// BenchmarkKeySet is an answer from memory.
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

package token_test

import (
	"encoding/json"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/token"
)

func benchWorld(b *testing.B) (*world, token.Pair) {
	b.Helper()
	w := open(b, withRS256)
	return w, w.issue(b, w.user(b, "ada@pico.example", identity.Viewer, identity.DefaultOrg))
}

// BenchmarkRotate is a refresh without HTTP; BenchmarkSign is the unavoidable part
// of it.
func BenchmarkRotate(b *testing.B) {
	w, p := benchWorld(b)
	for b.Loop() {
		next, err := w.Rotate(b.Context(), web, p.RefreshToken)
		if err != nil {
			b.Fatal(err)
		}
		p = next
	}
}

func BenchmarkSign(b *testing.B) {
	w, _ := benchWorld(b)
	claims, err := json.Marshal(map[string]any{"sub": "id-ada@pico.example", "groups": []string{}})
	if err != nil {
		b.Fatal(err)
	}
	signer, err := w.keys.Signer("")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := signer.Sign(jose.TypeJWT, claims); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBearer is the cost of the check of every authenticated request.
func BenchmarkBearer(b *testing.B) {
	w, p := benchWorld(b)
	bearer := presented(w.actor(b, p))
	for b.Loop() {
		if _, err := w.Bearer(b.Context(), bearer); err != nil {
			b.Fatal(err)
		}
	}
}

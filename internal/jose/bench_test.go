package jose_test

import (
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
)

var benchClaims = []byte(`{"sub":"01890a5d-ac96-774b-bcce-b302099a8057","email":"anna@example.org","role":"viewer","org_id":"default","groups":["01890a5d-ac96-774b-bcce-b302099a8058"],"iss":"http://localhost:8100","aud":"pico-bot","iat":1900000000,"exp":1900000900,"jti":"01890a5d-ac96-774b-bcce-b302099a8059","sid":"01890a5d-ac96-774b-bcce-b302099a8060"}`)

// BenchmarkMint compares a whole token with the bare signature in it.
func BenchmarkMint(b *testing.B) {
	for _, name := range jose.Algorithms() {
		key := keys()[name]
		signer := jose.NewSigner(key, key.Public().Thumbprint())
		token, err := signer.Sign(benchClaims)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(name)+"/token", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := signer.Sign(benchClaims); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(name)+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			input := []byte(token)
			for b.Loop() {
				_ = jose.SignBare(key, input)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, name := range jose.Algorithms() {
		key := keys()[name]
		token, err := jose.NewSigner(key, key.Public().Thumbprint()).Sign(benchClaims)
		if err != nil {
			b.Fatal(err)
		}
		lookup := only(key.Public())
		b.Run(string(name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := jose.Verify(token, lookup); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLoad is what a start pays for its key.
func BenchmarkLoad(b *testing.B) {
	b.Run("RS256", func(b *testing.B) {
		encoded, err := keys()[jose.RS256].MarshalPEM()
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := jose.ParsePrivatePEM(jose.RS256, encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, name := range []jose.Algorithm{jose.MLDSA65, jose.MLDSA87} {
		b.Run(string(name), func(b *testing.B) {
			secret, public := keys()[name].MarshalExpanded()
			for b.Loop() {
				if _, err := jose.ParseExpandedMLDSA(name, secret, public); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

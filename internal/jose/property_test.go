package jose_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/pico-auth/pico-auth/internal/jose"
)

func TestAnyPayloadRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]jose.Algorithm{jose.ES256, jose.EdDSA, jose.MLDSA44}).Draw(t, "algorithm")
		payload := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "payload")
		kid := rapid.String().Draw(t, "kid")
		token, err := jose.NewSigner(keys()[name], kid).Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		got, h, err := jose.Verify(token, only(keys()[name].Public()))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, payload) || h.KeyID != kid {
			t.Fatalf("payload %q, kid %q", got, h.KeyID)
		}
	})
}

// No change of one token's text makes another token of it, not even where the
// token itself is known.
func TestAnyChangeOfATokenIsRefused(t *testing.T) {
	signed := make(map[jose.Algorithm][2]string)
	known := make(map[jose.Algorithm]*jose.Memory) // has seen the originals
	for _, name := range jose.Algorithms() {
		signer := jose.NewSigner(keys()[name], "k")
		one, err := signer.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		two, err := signer.Sign([]byte(`{"sub":"u2"}`))
		if err != nil {
			t.Fatal(err)
		}
		signed[name] = [2]string{one, two}
		known[name] = new(jose.Memory)
		for _, token := range signed[name] {
			if _, _, err := known[name].Verify(token, only(keys()[name].Public())); err != nil {
				t.Fatal(err)
			}
		}
	}
	changes := map[string]func(*rapid.T, string, string) string{
		"flip": func(t *rapid.T, one, _ string) string {
			b := []byte(one)
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			return string(b)
		},
		"truncate": func(t *rapid.T, one, _ string) string {
			return one[:rapid.IntRange(0, len(one)-1).Draw(t, "length")]
		},
		"insert": func(t *rapid.T, one, _ string) string {
			at := rapid.IntRange(0, len(one)).Draw(t, "at")
			return one[:at] + string(rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(t, "bytes")) + one[at:]
		},
		"remove": func(t *rapid.T, one, _ string) string {
			at := rapid.IntRange(0, len(one)-1).Draw(t, "at")
			return one[:at] + one[at+1:]
		},
		"splice": func(t *rapid.T, one, two string) string {
			at := rapid.IntRange(1, min(len(one), len(two))-1).Draw(t, "at")
			return one[:at] + two[at:]
		},
	}
	for kind, change := range changes {
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				name := rapid.SampledFrom(jose.Algorithms()).Draw(t, "algorithm")
				pair := signed[name]
				token := change(t, pair[0], pair[1])
				if token == pair[0] || token == pair[1] {
					t.Skip("nothing changed")
				}
				if payload, _, err := known[name].Verify(token, only(keys()[name].Public())); err == nil {
					t.Fatalf("%s accepted as %s", token, payload)
				}
			})
		})
	}
}

package jose_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pico-auth/pico-auth/internal/jose"
)

// Whatever was presented before, in whatever order, a Memory answers as Verify
// does: to good tokens, to damaged ones, and when a key is replaced under its
// name or removed.
func TestAMemoryChangesNoAnswer(t *testing.T) {
	signers := []*jose.PrivateKey{keys()[jose.ES256], keys()[jose.EdDSA], keys()[jose.MLDSA44]}
	var tokens []string
	for _, key := range signers {
		for n := range 3 {
			token, err := jose.NewSigner(key, "k").Sign(fmt.Appendf(nil, `{"sub":"u%d"}`, n))
			if err != nil {
				t.Fatal(err)
			}
			dot := strings.LastIndexByte(token, '.')
			other := tokens[max(len(tokens)-3, 0):]
			tokens = append(tokens, token, token[:dot+1]+strings.Repeat("A", len(token)-dot-1), token+"A")
			for _, o := range other { // the signature of another token
				tokens = append(tokens, token[:dot]+o[strings.LastIndexByte(o, '.'):])
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var memory jose.Memory
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			token := rapid.SampledFrom(tokens).Draw(t, "token")
			var key *jose.PublicKey // removed
			if n := rapid.IntRange(0, len(signers)).Draw(t, "key"); n < len(signers) {
				key = signers[n].Public()
			}
			want, _, wantErr := jose.Verify(token, only(key))
			got, _, err := memory.Verify(token, only(key))
			if string(got) != string(want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("%q, %v; without a memory %q, %v", got, err, want, wantErr)
			}
		}
	})
}

func TestAMemorySparesTheArithmeticOfOneTokenUnderOneKey(t *testing.T) {
	for name, key := range keys() {
		var inside time.Duration
		_, clocked := jose.Clocked(key, &inside)
		_, again := jose.Clocked(key, &inside) // the same key, read again
		token, err := jose.NewSigner(key, "k").Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		dot := strings.LastIndexByte(token, '.')
		damaged := token[:dot+1] + strings.Repeat("A", len(token)-dot-1)
		var memory jose.Memory
		for step, c := range []struct {
			token    string
			key      *jose.PublicKey
			computes bool
			want     error
		}{
			{token, clocked, true, nil},
			{token, clocked, false, nil},
			{token, again, false, nil},
			{damaged, again, true, jose.ErrSignature},
			{damaged, again, true, jose.ErrSignature}, // a refusal is not remembered
			{token, clocked, false, nil},
		} {
			inside = 0
			payload, _, err := memory.Verify(c.token, only(c.key))
			if !errors.Is(err, c.want) || (err == nil) != (string(payload) == string(claims)) {
				t.Errorf("%s, step %d: %q, %v", name, step, payload, err)
			}
			if (inside > 0) != c.computes {
				t.Errorf("%s, step %d: %v inside the arithmetic", name, step, inside)
			}
		}
	}
}

func TestAMemoryIsSafeForConcurrentUse(t *testing.T) {
	var tokens []string
	for n := range 20 {
		token, err := jose.NewSigner(keys()[jose.EdDSA], "k").Sign(fmt.Appendf(nil, `{"sub":"u%d"}`, n))
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	var memory jose.Memory
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := range 400 {
				want := fmt.Sprintf(`{"sub":"u%d"}`, n%len(tokens))
				if payload, _, err := memory.Verify(tokens[n%len(tokens)], only(keys()[jose.EdDSA].Public())); err != nil || string(payload) != want {
					t.Errorf("%q, %v", payload, err)
				}
			}
		})
	}
	all.Wait()
}

package jose

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/cloudflare/circl/sign"
)

type pureSigning struct {
	Alg    Algorithm
	Hedged bool // NIST's signature itself, since its randomness cannot be given
	Tests  []struct {
		ID                     int
		SK, Msg, Ctx, Sum, Sig []byte // Sum: SHA-256 of the signature
	}
}

// TestNISTPureSignatures makes NIST's deterministic signatures again, and
// verifies them and the hedged ones. Those with a context are valid and not a
// token's.
func TestNISTPureSignatures(t *testing.T) {
	var groups []pureSigning
	readVectors(t, "acvp/pure_siggen.json.gz", &groups)
	ran, verified := make(map[Algorithm]int), make(map[Algorithm]int)
	for _, group := range groups {
		for _, v := range group.Tests {
			key, err := ParseExpandedMLDSA(group.Alg, v.SK, nil)
			if err != nil {
				t.Errorf("%s %d: %v", group.Alg, v.ID, err)
				continue
			}
			signature := v.Sig
			if !group.Hedged {
				if signature, err = signDeterministic(key, v.Msg, v.Ctx); err != nil {
					t.Fatal(err)
				}
				if sum := sha256.Sum256(signature); !bytes.Equal(sum[:], v.Sum) {
					t.Errorf("%s %d: another signature", group.Alg, v.ID)
				}
			}
			got := key.public.key.verify(v.Msg, signature)
			if got != (len(v.Ctx) == 0) {
				t.Errorf("%s %d: verified %v with a context of %d bytes", group.Alg, v.ID, got, len(v.Ctx))
			}
			ran[group.Alg]++
			if got {
				verified[group.Alg]++
			}
		}
	}
	for name, least := range map[Algorithm]int{MLDSA44: 3, MLDSA65: 2, MLDSA87: 3} {
		if ran[name] != 16 || verified[name] < least {
			t.Errorf("%s: %d signatures, %d of them verified; want 16 and %d", name, ran[name], verified[name], least)
		}
	}
}

// TestNISTPureVerdicts has NIST's verdict from the primitive that is told the
// context, and NIST's verdict from a key of ours wherever there is none. What is
// of HashML-DSA (FIPS 204 section 5.4) is never a token's.
func TestNISTPureVerdicts(t *testing.T) {
	var groups []struct {
		Alg     Algorithm
		PreHash bool
		Tests   []struct {
			ID                int
			Passed            bool
			PK, Msg, Ctx, Sig []byte
		}
	}
	readVectors(t, "acvp/pure_sigver.json.gz", &groups)
	pure, hashed := 0, 0
	for _, group := range groups {
		for _, v := range group.Tests {
			key, err := ParseExpandedPublic(group.Alg, v.PK)
			if err != nil {
				t.Errorf("%s %d: %v", group.Alg, v.ID, err)
				continue
			}
			want := v.Passed && !group.PreHash && len(v.Ctx) == 0
			if got := key.key.verify(v.Msg, v.Sig); got != want {
				t.Errorf("%s %d: verified %v, want %v", group.Alg, v.ID, got, want)
			}
			if group.PreHash {
				hashed++
				continue
			}
			pure++
			raw := key.key.(mldsaPublic).key
			if got := raw.Scheme().Verify(raw, v.Msg, v.Sig, &sign.SignatureOpts{Context: string(v.Ctx)}); got != v.Passed {
				t.Errorf("%s %d: the primitive says %v, NIST %v", group.Alg, v.ID, got, v.Passed)
			}
		}
	}
	if pure != 45 || hashed != 9 {
		t.Errorf("%d pure signatures and %d of HashML-DSA, want 45 and 9", pure, hashed)
	}
}

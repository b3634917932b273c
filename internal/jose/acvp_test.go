package jose

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

func TestNISTSeedsGiveNISTKeys(t *testing.T) {
	var groups []struct {
		Alg   Algorithm
		Tests []struct {
			ID                 int
			Seed, PKSum, SKSum []byte
		}
	}
	readVectors(t, "acvp/keygen.json.gz", &groups)
	ran := 0
	for _, group := range groups {
		for _, v := range group.Tests {
			secret, public := seededMLDSA(t, group.Alg, [32]byte(v.Seed)).MarshalExpanded()
			pkSum, skSum := sha256.Sum256(public), sha256.Sum256(secret)
			if !bytes.Equal(pkSum[:], v.PKSum) || !bytes.Equal(skSum[:], v.SKSum) {
				t.Errorf("%s %d: the seed gives another key", group.Alg, v.ID)
			}
			again, err := ParseExpandedMLDSA(group.Alg, secret, public)
			if err != nil {
				t.Fatalf("%s %d: %v", group.Alg, v.ID, err)
			}
			gotSecret, gotPublic := again.MarshalExpanded()
			if !bytes.Equal(gotSecret, secret) || !bytes.Equal(gotPublic, public) {
				t.Errorf("%s %d: written otherwise than read", group.Alg, v.ID)
			}
			ran++
		}
	}
	if ran < 75 {
		t.Errorf("%d keys, want 75", ran)
	}
}

// NIST's files of signatures are of Sign_internal (FIPS 204, algorithm 7): they
// sign the message as it stands, without the prefix that pure ML-DSA puts
// before it. So the keys of the files fit, and the signatures, good ones by
// NIST, are what a key must not accept as a token's.
func TestNISTKeysSignAndInternalSignaturesAreRefused(t *testing.T) {
	var groups []struct {
		Alg   Algorithm
		Tests []struct {
			ID           int
			SK, Msg, Sig []byte
		}
	}
	readVectors(t, "acvp/siggen.json.gz", &groups)
	ran := 0
	for _, group := range groups {
		for _, v := range group.Tests {
			key, err := ParseExpandedMLDSA(group.Alg, v.SK, nil) // signs and verifies
			if err != nil {
				t.Errorf("%s %d: %v", group.Alg, v.ID, err)
				continue
			}
			if len(v.Sig) != key.public.key.signatureSize() || key.public.key.verify(v.Msg, v.Sig) {
				t.Errorf("%s %d: a signature of %d bytes without the prefix verifies", group.Alg, v.ID, len(v.Sig))
			}
			ran++
		}
	}
	if ran < 30 {
		t.Errorf("%d keys, want 30", ran)
	}
}

func TestNISTInternalSignaturesAreRefused(t *testing.T) {
	var groups []struct {
		Alg   Algorithm
		PK    []byte
		Tests []struct {
			ID       int
			Passed   bool
			Msg, Sig []byte
		}
	}
	readVectors(t, "acvp/sigver.json.gz", &groups)
	passed, failed := 0, 0
	for _, group := range groups {
		key, err := ParseExpandedPublic(group.Alg, group.PK)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range group.Tests {
			if (compact{input: string(v.Msg), signature: encode(v.Sig)}).verify(key) == nil {
				t.Errorf("%s %d: verifies without the prefix", group.Alg, v.ID)
			}
			if v.Passed {
				passed++
			} else {
				failed++
			}
		}
	}
	if passed < 9 || passed+failed < 45 {
		t.Errorf("%d signatures that are good in themselves and %d that are not, want 45 in all", passed, failed)
	}
}

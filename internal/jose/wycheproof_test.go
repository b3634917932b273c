package jose

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"slices"
	"testing"
)

// TestWycheproofSignatures runs bare signatures through the check that tokens
// go through: length first, then the algorithm.
func TestWycheproofSignatures(t *testing.T) {
	var groups []struct {
		Alg   Algorithm
		File  string
		DER   []byte
		Tests []struct {
			ID              int
			Comment, Result string
			Msg, Sig        []byte
		}
	}
	readVectors(t, "wycheproof/signatures.json.gz", &groups)
	ran := make(map[Algorithm]int)
	for _, group := range groups {
		key, err := ParsePublicPEM(group.Alg, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: group.DER}))
		// Two files are of PSS with other parameters; one of them changes them back.
		noSalt, otherMask := group.File == "rsa_pss_2048_sha256_mgf1_0", group.File == "rsa_pss_2048_sha256_mgf1sha1_20"
		for _, v := range group.Tests {
			want := v.Result == "valid" && !noSalt && !otherMask || noSalt && v.Comment == "s_len changed to 32"
			got := false
			if err == nil {
				got = (compact{input: string(v.Msg), signature: encode(v.Sig)}).verify(key) == nil
			}
			if got != want && v.Result != "acceptable" {
				t.Errorf("%s %d (%s): verified %v, want %v; key: %v", group.File, v.ID, v.Comment, got, want, err)
			}
			ran[group.Alg]++
		}
	}
	for name, least := range map[Algorithm]int{RS256: 500, PS256: 400, ES256: 250, ES384: 250, EdDSA: 150} {
		if ran[name] < least {
			t.Errorf("%s: %d vectors ran, want %d or more", name, ran[name], least)
		}
	}
}

// TestWycheproofTokens runs whole tokens. What is valid under an algorithm that
// the table does not have must be refused like anything else.
func TestWycheproofTokens(t *testing.T) {
	var groups []struct {
		Comment string
		JWK     map[string]any
		Tests   []struct {
			ID                   int
			Comment, JWS, Result string
			Flags                []string
		}
	}
	readVectors(t, "wycheproof/jws.json.gz", &groups)
	accepted, refused := make(map[Algorithm]int), 0
	for _, group := range groups {
		_, key, err := parseEntry(group.JWK)
		for _, v := range group.Tests {
			var opened error
			if opened = err; err == nil {
				_, opened = openAny(v.JWS, key)
			}
			alg, _ := group.JWK["alg"].(string)
			_, unknown := lookup(Algorithm(alg))
			want := v.Result == "valid" && unknown == nil
			if v.Comment == "Figure20" {
				want = false // signed with PS384 under a key that names PS256; RFC 7517 section 4.4
			}
			if got := opened == nil; got != want {
				t.Errorf("%s %d (%s %v): accepted %v, want %v: %v", group.Comment, v.ID, v.Comment, v.Flags, got, want, opened)
			}
			if opened == nil {
				accepted[key.Algorithm()]++
			} else {
				refused++
			}
		}
	}
	if accepted[RS256] < 7 || accepted[PS256] < 6 || accepted[ES256] < 2 || refused < 350 {
		t.Errorf("accepted %v and refused %d tokens; the file has more", accepted, refused)
	}
}

func TestWycheproofKeySets(t *testing.T) {
	var groups []struct {
		Comment string
		Set     json.RawMessage
		Tests   []struct {
			ID                   int
			Comment, JWS, Result string
		}
	}
	readVectors(t, "wycheproof/jwk.json.gz", &groups)
	for _, group := range groups {
		if group.Comment == "jws_rsa_roca_key" {
			continue // a fingerprint of one vendor's old generator; an issuer's choice of key is trusted
		}
		keys, err := ParseJWKSet(group.Set)
		for _, v := range group.Tests {
			opened := err
			if parts, splitErr := split(v.JWS); err == nil && splitErr == nil {
				h, headerErr := parseHeader(parts.header)
				if opened = headerErr; headerErr == nil {
					_, opened = parts.open(h, func(h Header) (*PublicKey, error) { return keys[h.KeyID], nil }, nil)
				}
			}
			symmetric := bytes.Contains(group.Set, []byte(`"oct"`))
			if got, want := opened == nil, v.Result == "valid" && !symmetric; got != want {
				t.Errorf("%s %d (%s): accepted %v, want %v: %v", group.Comment, v.ID, v.Comment, got, want, opened)
			}
		}
	}
}

// Contexts are for others than JOSE: a signature with one, valid as it is, must
// not verify here.
func TestWycheproofMLDSAVerification(t *testing.T) {
	var groups []struct {
		Alg   Algorithm
		Pub   []byte
		Tests []struct {
			ID              int
			Comment, Result string
			Msg, Sig, Ctx   []byte
		}
	}
	readVectors(t, "wycheproof/mldsa_verify.json.gz", &groups)
	ran, verified := make(map[Algorithm]int), make(map[Algorithm]int)
	for _, group := range groups {
		key, err := ParseExpandedPublic(group.Alg, group.Pub)
		for _, v := range group.Tests {
			want := v.Result == "valid" && len(v.Ctx) == 0
			got := err == nil && (compact{input: string(v.Msg), signature: encode(v.Sig)}).verify(key) == nil
			if got != want {
				t.Errorf("%s %d (%s): verified %v, want %v; key: %v", group.Alg, v.ID, v.Comment, got, want, err)
			}
			ran[group.Alg]++
			if got {
				verified[group.Alg]++
			}
		}
	}
	for name, least := range map[Algorithm]int{MLDSA44: 180, MLDSA65: 210, MLDSA87: 241} {
		if ran[name] < least || verified[name] < 65 {
			t.Errorf("%s: %d vectors ran, %d verified; the file has more", name, ran[name], verified[name])
		}
	}
}

// signVectors are keys, as a seed or expanded, with what they sign.
type signVectors struct {
	Alg                  Algorithm
	Seed, Secret, PubSum []byte
	Tests                []signVector
}

type signVector struct {
	ID              int
	Comment, Result string
	Flags           []string
	Msg, Ctx, Sum   []byte // Sum: SHA-256 of the signature
}

// skip says why the interface of a signer of tokens cannot run a vector; empty:
// it can.
func (v signVector) skip() string {
	switch {
	case slices.Contains(v.Flags, "Internal"):
		return "gives a digest and not the message"
	case slices.Contains(v.Flags, "Randomized"):
		return "gives the randomness"
	}
	return ""
}

// TestWycheproofMLDSASigning reads every key, damaged ones too, and has it make
// each published signature again.
func TestWycheproofMLDSASigning(t *testing.T) {
	var groups []signVectors
	readVectors(t, "wycheproof/mldsa_sign.json.gz", &groups)
	ran, refused, skipped := make(map[Algorithm]int), 0, make(map[string]int)
	for _, group := range groups {
		key, ok := group.key(t)
		for _, v := range group.Tests {
			if why := v.skip(); why != "" {
				skipped[why]++
				continue
			}
			ran[group.Alg]++
			if v.Result == "invalid" {
				refused++
			}
			group.signs(t, v, key, ok)
		}
	}
	for name, least := range map[Algorithm]int{MLDSA44: 140, MLDSA65: 150, MLDSA87: 130} {
		if ran[name] < least {
			t.Errorf("%s: %d vectors ran, want %d or more", name, ran[name], least)
		}
	}
	if refused < 27 || len(skipped) != 2 || skipped["gives a digest and not the message"] > 69 || skipped["gives the randomness"] > 6 {
		t.Errorf("%d to refuse, skipped %v", refused, skipped)
	}
}

// key returns the group's key unless it is to be refused.
func (g signVectors) key(t *testing.T) (*PrivateKey, bool) {
	t.Helper()
	if g.Seed != nil {
		if len(g.Seed) != 32 {
			return nil, false // seeds are not read here, so nothing can be refused
		}
		return seededMLDSA(t, g.Alg, [32]byte(g.Seed)), true
	}
	key, err := ParseExpandedMLDSA(g.Alg, g.Secret, nil)
	return key, err == nil
}

func (g signVectors) signs(t *testing.T, v signVector, key *PrivateKey, ok bool) {
	t.Helper()
	var signature []byte
	if ok {
		var err error
		signature, err = signDeterministic(key, v.Msg, v.Ctx)
		ok = err == nil
	}
	if want := v.Result == "valid"; ok != want {
		t.Errorf("%s %d (%s): signed %v, want %v", g.Alg, v.ID, v.Comment, ok, want)
	}
	if !ok {
		return
	}
	_, public := key.MarshalExpanded()
	if sum := sha256.Sum256(public); !bytes.Equal(sum[:], g.PubSum) {
		t.Errorf("%s %d (%s): another public key", g.Alg, v.ID, v.Comment)
	}
	if sum := sha256.Sum256(signature); !bytes.Equal(sum[:], v.Sum) {
		t.Errorf("%s %d (%s): another signature", g.Alg, v.ID, v.Comment)
	}
	if verified := key.public.key.verify(v.Msg, signature); verified != (len(v.Ctx) == 0) {
		t.Errorf("%s %d (%s): verified %v", g.Alg, v.ID, v.Comment, verified)
	}
}

package jose_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
)

var claims = []byte(`{"sub":"u1","iss":"http://localhost:8100","exp":1900000000}`)

// keys is one key of each algorithm.
var keys = sync.OnceValue(func() map[jose.Algorithm]*jose.PrivateKey {
	made := make(map[jose.Algorithm]*jose.PrivateKey)
	for _, name := range jose.Algorithms() {
		made[name] = jose.OwnKeys()[string(name)]
	}
	return made
})

func only(key *jose.PublicKey) func(jose.Header) (*jose.PublicKey, error) {
	return func(jose.Header) (*jose.PublicKey, error) { return key, nil }
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// forge signs whatever header it is given with the real key.
func forge(t testing.TB, key *jose.PrivateKey, header string) string {
	t.Helper()
	token, err := jose.SignRaw(key, b64(header)+"."+b64(string(claims)))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTokensRoundTripWithEveryAlgorithm(t *testing.T) {
	for name, key := range keys() {
		t.Run(string(name), func(t *testing.T) {
			token, err := jose.NewSigner(key, "kid-1").Sign(claims)
			if err != nil {
				t.Fatal(err)
			}
			payload, h, err := jose.Verify(token, only(key.Public()))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(payload, claims) {
				t.Errorf("payload %s", payload)
			}
			if want := (jose.Header{Algorithm: name, KeyID: "kid-1", Type: jose.TypeJWT}); h != want {
				t.Errorf("header %+v, want %+v", h, want)
			}
			header, raw, err := jose.Inspect(token)
			if err != nil || !bytes.Equal(raw, claims) {
				t.Errorf("inspect: %s %v", raw, err)
			}
			if want := fmt.Sprintf(`{"alg":%q,"kid":"kid-1","typ":"JWT"}`, name); string(header) != want {
				t.Errorf("header %s, want %s", header, want)
			}
		})
	}
}

func TestHeaderIsBelievedInNothingButKidAndOwnAlgorithm(t *testing.T) {
	key := keys()[jose.EdDSA]
	attacker, err := jose.Generate(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	embedded := fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":%q}`, attacker.Public().JWK("").X)
	refused := []struct {
		name, header string
		want         error
	}{
		{"none", `{"alg":"none","typ":"JWT"}`, jose.ErrAlgorithm},
		{"None", `{"alg":"None","typ":"JWT"}`, jose.ErrAlgorithm},
		{"HS256", `{"alg":"HS256","typ":"JWT"}`, jose.ErrAlgorithm},
		{"empty alg", `{"alg":"","typ":"JWT"}`, jose.ErrAlgorithm},
		{"no alg", `{"typ":"JWT"}`, jose.ErrAlgorithm},
		{"alg of another case", `{"alg":"eddsa","typ":"JWT"}`, jose.ErrAlgorithm},
		{"alg as a list", `{"alg":["EdDSA"],"typ":"JWT"}`, jose.ErrAlgorithm},
		{"alg null", `{"alg":null,"typ":"JWT"}`, jose.ErrAlgorithm},
		{"member of another case", `{"ALG":"EdDSA","typ":"JWT"}`, jose.ErrAlgorithm},
		{"another real algorithm", `{"alg":"RS256","typ":"JWT"}`, jose.ErrAlgorithm},
		{"crit", `{"alg":"EdDSA","typ":"JWT","crit":["exp"],"exp":1}`, jose.ErrMalformed},
		{"empty crit", `{"alg":"EdDSA","typ":"JWT","crit":[]}`, jose.ErrMalformed},
		{"null crit", `{"alg":"EdDSA","typ":"JWT","crit":null}`, jose.ErrMalformed},
		{"b64", `{"alg":"EdDSA","typ":"JWT","b64":false,"crit":["b64"]}`, jose.ErrMalformed},
		{"no typ", `{"alg":"EdDSA"}`, jose.ErrMalformed},
		{"typ of another case", `{"alg":"EdDSA","typ":"jwt"}`, jose.ErrMalformed},
		{"another typ", `{"alg":"EdDSA","typ":"dpop+jwt"}`, jose.ErrMalformed},
		{"typ as a number", `{"alg":"EdDSA","typ":1}`, jose.ErrMalformed},
		{"kid as a number", `{"alg":"EdDSA","typ":"JWT","kid":1}`, jose.ErrMalformed},
		{"kid null", `{"alg":"EdDSA","typ":"JWT","kid":null}`, jose.ErrMalformed},
		{"duplicate alg", `{"alg":"none","typ":"JWT","alg":"EdDSA"}`, jose.ErrMalformed},
		{"duplicate alg, one escaped", `{"alg":"none","typ":"JWT","\u0061lg":"EdDSA"}`, jose.ErrMalformed},
		{"duplicate deep inside", `{"alg":"EdDSA","typ":"JWT","x":{"a":1,"a":2}}`, jose.ErrMalformed},
		{"a list", `["EdDSA"]`, jose.ErrMalformed},
		{"a string", `"EdDSA"`, jose.ErrMalformed},
		{"null", `null`, jose.ErrMalformed},
		{"empty", ``, jose.ErrMalformed},
		{"trailing data", `{"alg":"EdDSA","typ":"JWT"} {}`, jose.ErrMalformed},
		{"trailing comma", `{"alg":"EdDSA","typ":"JWT",}`, jose.ErrMalformed},
		{"invalid UTF-8", "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"\xff\"}", jose.ErrMalformed},
		{"lone surrogate", `{"alg":"EdDSA","typ":"JWT","kid":"\ud800"}`, jose.ErrMalformed},
		{"byte order mark", "\ufeff" + `{"alg":"EdDSA","typ":"JWT"}`, jose.ErrMalformed},
		{"nested too deep", `{"alg":"EdDSA","typ":"JWT","x":` + strings.Repeat("[", 21) + strings.Repeat("]", 21) + `}`, jose.ErrMalformed},
	}
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := jose.Verify(forge(t, key, c.header), only(key.Public())); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
	ignored := map[string]string{
		"jwk":       `{"alg":"EdDSA","typ":"JWT","jwk":` + embedded + `}`,
		"jku":       `{"alg":"EdDSA","typ":"JWT","jku":"https://attacker.example/keys"}`,
		"x5u":       `{"alg":"EdDSA","typ":"JWT","x5u":"https://attacker.example/cert"}`,
		"x5c":       `{"alg":"EdDSA","typ":"JWT","x5c":["MIIB"]}`,
		"zip":       `{"alg":"EdDSA","typ":"JWT","zip":"DEF"}`,
		"b64 alone": `{"alg":"EdDSA","typ":"JWT","b64":false}`,
	}
	for name, header := range ignored {
		t.Run("own signature in spite of "+name, func(t *testing.T) {
			payload, _, err := jose.Verify(forge(t, key, header), only(key.Public()))
			if err != nil || !bytes.Equal(payload, claims) {
				t.Errorf("%s %v", payload, err)
			}
		})
		t.Run("attacker's signature with "+name, func(t *testing.T) {
			if _, _, err := jose.Verify(forge(t, attacker, header), only(key.Public())); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestEd25519IsANameOfEdDSA(t *testing.T) {
	key := keys()[jose.EdDSA]
	_, h, err := jose.Verify(forge(t, key, `{"alg":"Ed25519","typ":"at+jwt"}`), only(key.Public()))
	if err != nil {
		t.Fatal(err)
	}
	if want := (jose.Header{Algorithm: jose.EdDSA, Type: jose.TypeAccessToken}); h != want {
		t.Errorf("header %+v, want %+v", h, want)
	}
}

// The classic confusion: a token that claims another algorithm of the table
// and is signed with the public key, or with a key of that other algorithm.
func TestHeaderMustNameTheKeysAlgorithm(t *testing.T) {
	for claimed, signing := range keys() {
		for own, key := range keys() {
			if own == claimed {
				continue
			}
			token := forge(t, signing, fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, claimed))
			if _, _, err := jose.Verify(token, only(key.Public())); !errors.Is(err, jose.ErrAlgorithm) {
				t.Errorf("%s token, %s key: %v", claimed, own, err)
			}
			token = forge(t, signing, fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, own))
			if _, _, err := jose.Verify(token, only(key.Public())); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("%s signature under the name %s: %v", claimed, own, err)
			}
		}
	}
}

func TestMalformedTokensAreRefused(t *testing.T) {
	key := keys()[jose.ES256]
	good, err := jose.NewSigner(key, "k").Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	part := strings.Split(good, ".")
	header, payload, signature := part[0], part[1], part[2]
	cases := map[string]string{
		"empty":                   "",
		"one part":                header,
		"two parts":               header + "." + payload,
		"four parts":              good + ".",
		"five parts":              good + "." + payload + "." + signature,
		"doubled":                 good + good,
		"no header":               "." + payload + "." + signature,
		"no payload":              header + ".." + signature,
		"no signature":            header + "." + payload + ".",
		"padded header":           header + "=." + payload + "." + signature,
		"padded payload":          header + "." + payload + "=." + signature,
		"padded signature":        good + "==",
		"leading space":           " " + good,
		"trailing space":          good + " ",
		"trailing newline":        good + "\n",
		"newline in header":       header[:4] + "\n" + header[4:] + "." + payload + "." + signature,
		"newline in payload":      header + "." + payload[:4] + "\r\n" + payload[4:] + "." + signature,
		"newline in signature":    header + "." + payload + "." + signature[:4] + "\n" + signature[4:],
		"newline for a character": header + "." + payload + "." + signature[:4] + "\n" + signature[5:],
		"standard alphabet":       header + "." + payload + "." + "+/" + signature[2:],
		"NUL":                     header + "." + payload + "." + "\x00" + signature[1:],
		"long signature":          good + "AAAA",
		"short signature":         good[:len(good)-4],
		"DER signature":           header + "." + payload + "." + b64("\x30\x44"+strings.Repeat("x", 68)),
	}
	for name, token := range cases {
		t.Run(name, func(t *testing.T) {
			if _, _, err := jose.Verify(token, only(key.Public())); !errors.Is(err, jose.ErrMalformed) && !errors.Is(err, jose.ErrSignature) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// The last character of 64 bytes in base64url carries 2 spare bits; the three
// spellings with those bits set decode to the same signature in a lax decoder. Padding
// and line breaks, which Go's decoder skips even when it is strict, are spellings too.
func TestOneTokenHasOneSpelling(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, name := range []jose.Algorithm{jose.RS256, jose.ES256, jose.EdDSA, jose.MLDSA65} {
		key := keys()[name]
		good, err := jose.NewSigner(key, "k").Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range alphabet {
			token := good[:len(good)-1] + string(c)
			if token == good {
				continue
			}
			if _, _, err := jose.Verify(token, only(key.Public())); err == nil {
				t.Errorf("%s: accepted with the last character %c for %c", name, c, good[len(good)-1])
			}
		}
		signature := strings.LastIndexByte(good, '.') + 1
		for _, more := range []string{"\n", "\r", "\r\n", "=", "==", " ", "\x00"} {
			for _, at := range []int{0, signature, signature + 1, len(good) - 1, len(good)} {
				token := good[:at] + more + good[at:]
				if _, _, err := jose.Verify(token, only(key.Public())); err == nil {
					t.Errorf("%s: accepted with %q at %d of %d", name, more, at, len(good))
				}
			}
		}
	}
}

func TestLongTokensAreRefusedUnread(t *testing.T) {
	asked := false
	lookup := func(jose.Header) (*jose.PublicKey, error) {
		asked = true
		return keys()[jose.ES256].Public(), nil
	}
	sign := func(size int) string {
		token, err := jose.NewSigner(keys()[jose.ES256], "k").Sign(bytes.Repeat([]byte{'a'}, size))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	if _, _, err := jose.Verify(sign(12<<10), lookup); !errors.Is(err, jose.ErrMalformed) || asked {
		t.Errorf("more than 16 KiB: error %v, key asked for: %v", err, asked)
	}
	if _, _, err := jose.Inspect(sign(12 << 10)); !errors.Is(err, jose.ErrMalformed) {
		t.Errorf("inspect: %v", err)
	}
	size := 12 << 10
	for len(sign(size)) > jose.MaxToken {
		size--
	}
	longest := sign(size)
	if _, _, err := jose.Verify(longest, lookup); err != nil {
		t.Errorf("%d bytes: %v", len(longest), err)
	}
}

func TestLookupDecides(t *testing.T) {
	token, err := jose.NewSigner(keys()[jose.ES256], "k").Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	_, h, err := jose.Verify(token, func(jose.Header) (*jose.PublicKey, error) { return nil, io.ErrUnexpectedEOF })
	if !errors.Is(err, io.ErrUnexpectedEOF) || h.KeyID != "k" {
		t.Errorf("error %v, header %+v", err, h)
	}
	if _, _, err := jose.Verify(token, only(nil)); !errors.Is(err, jose.ErrKey) {
		t.Errorf("no key: %v", err)
	}
	other, err := jose.Generate(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if payload, _, err := jose.Verify(token, only(other.Public())); !errors.Is(err, jose.ErrSignature) || payload != nil {
		t.Errorf("another key: %s %v", payload, err)
	}
}

func TestErrorsRepeatNothingOfTheToken(t *testing.T) {
	key := keys()[jose.EdDSA]
	const secret = "s3cr3t-value"
	for _, header := range []string{
		`{"alg":"` + secret + `","typ":"JWT"}`,
		`{"alg":"EdDSA","typ":"` + secret + `"}`,
		`{"alg":"EdDSA","typ":"JWT","` + secret + `":1,"` + secret + `":2}`,
		secret,
	} {
		if _, _, err := jose.Verify(forge(t, key, header), only(key.Public())); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", header, err)
		}
	}
}

func TestInspectRefusesWhatIsNoToken(t *testing.T) {
	for _, token := range []string{"", "a.b", "e30.e30.e30.e30", "!.e30.e30", "e30.!.e30", "e30.e30.!"} {
		if _, _, err := jose.Inspect(token); !errors.Is(err, jose.ErrMalformed) {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func TestSignerWithoutKidNamesNone(t *testing.T) {
	token, err := jose.NewSigner(keys()[jose.EdDSA], "").Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	header, _, err := jose.Inspect(token)
	if want := `{"alg":"EdDSA","typ":"JWT"}`; err != nil || string(header) != want {
		t.Errorf("header %s, want %s: %v", header, want, err)
	}
}

// A signer has nothing that changes, so it needs no lock; the race detector
// would see it if that were no longer so.
func TestOneSignerServesManyAtOnce(t *testing.T) {
	for name, key := range keys() {
		signer := jose.NewSigner(key, "k")
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				payload := fmt.Appendf(nil, `{"sub":"u%d"}`, i)
				token, err := signer.Sign(payload)
				if err != nil {
					t.Error(err)
					return
				}
				if got, _, err := jose.Verify(token, only(key.Public())); err != nil || !bytes.Equal(got, payload) {
					t.Errorf("%s: %s %v", name, got, err)
				}
			})
		}
		group.Wait()
	}
}

// Beside the signature a token is two allocations: what is signed, and the text.
func TestMintingAllocatesLittle(t *testing.T) {
	for name, key := range keys() {
		signer := jose.NewSigner(key, "kid")
		input := []byte(strings.Repeat("x", 200))
		minting := testing.AllocsPerRun(20, func() { _, _ = signer.Sign(claims) })
		bare := testing.AllocsPerRun(20, func() { _ = jose.SignBare(key, input) })
		if minting-bare > 2 {
			t.Errorf("%s: %.0f allocations over the %.0f of the signature", name, minting-bare, bare)
		}
	}
}

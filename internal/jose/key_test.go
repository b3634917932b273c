package jose_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
)

var withPEM = []jose.Algorithm{jose.RS256, jose.PS256, jose.ES256, jose.ES384, jose.EdDSA}

func TestKeysSurvivePEM(t *testing.T) {
	for _, name := range withPEM {
		key := keys()[name]
		private, err := key.MarshalPEM()
		if err != nil {
			t.Fatal(err)
		}
		again, err := jose.ParsePrivatePEM(name, private)
		if err != nil {
			t.Fatal(err)
		}
		if !again.Public().Equal(key.Public()) || again.Algorithm() != name {
			t.Errorf("%s: another private key", name)
		}
		public, err := key.Public().MarshalPEM()
		if err != nil {
			t.Fatal(err)
		}
		half, err := jose.ParsePublicPEM(name, public)
		if err != nil {
			t.Fatal(err)
		}
		if !half.Equal(key.Public()) {
			t.Errorf("%s: another public key", name)
		}
		if bytes.Contains(public, []byte("PRIVATE")) {
			t.Errorf("%s: public file holds %s", name, public)
		}
	}
}

func TestPKCS1IsUnderstood(t *testing.T) {
	raw, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	old := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(raw)})
	key, err := jose.ParsePrivatePEM(jose.RS256, old)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.NewSigner(key, "k").Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := jose.Verify(token, only(key.Public())); err != nil {
		t.Error(err)
	}
}

// TestSEC1IsUnderstood also behind the parameters that openssl writes first.
func TestSEC1IsUnderstood(t *testing.T) {
	for _, name := range []jose.Algorithm{jose.ES256, jose.ES384} {
		der, err := x509.MarshalECPrivateKey(standard(t, keys()[name]).(*ecdsa.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		old := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
		parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 0}})
		for _, data := range [][]byte{old, append(parameters, old...)} {
			key, err := jose.ParsePrivatePEM(name, data)
			if err != nil {
				t.Fatal(err)
			}
			if key.Public().Thumbprint() != keys()[name].Public().Thumbprint() {
				t.Errorf("%s: another key", name)
			}
		}
	}
}

func TestUnusablePrivatePEMIsRefused(t *testing.T) {
	good, err := keys()[jose.RS256].MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	public, err := keys()[jose.RS256].Public().MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	ec, err := keys()[jose.ES256].MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, body []byte, headers map[string]string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: body, Headers: headers}))
	}
	body, _ := pem.Decode(good)
	old := x509.MarshalPKCS1PrivateKey(standard(t, keys()[jose.RS256]).(*rsa.PrivateKey))
	sec1, err := x509.MarshalECPrivateKey(standard(t, keys()[jose.ES256]).(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct{ data, says string }{
		"empty":                {"", "no complete PEM block"},
		"garbage":              {"\x00\x01\x02", "no complete PEM block"},
		"half":                 {string(good[:len(good)/2]), "no complete PEM block"},
		"two keys":             {string(good) + string(good), "more than one"},
		"text after":           {string(good) + "more", "more than one"},
		"broken, then whole":   {"-----BEGIN PRIVATE KEY-----\n!!!\n" + string(good), "more than one"},
		"too long":             {strings.Repeat(" ", 1<<17) + string(good), "too long"},
		"public":               {string(public), "public one"},
		"certificate":          {block("CERTIFICATE", body.Bytes, nil), "a certificate"},
		"parameters only":      {block("EC PARAMETERS", []byte{6, 0}, nil), "no complete PEM block"},
		"duplicate parameters": {block("EC PARAMETERS", nil, nil) + block("EC PARAMETERS", nil, nil), "the parameters of one"},
		"parameters after":     {string(good) + block("EC PARAMETERS", []byte{6, 0}, nil), "more than one"},
		"OpenSSH":              {block("OPENSSH PRIVATE KEY", body.Bytes, nil), "as OpenSSH writes it"},
		"other block":          {block("DH PARAMETERS", body.Bytes, nil), "not understood"},
		"encrypted PKCS #8":    {block("ENCRYPTED PRIVATE KEY", body.Bytes, nil), "encrypted"},
		"encrypted PKCS #1":    {block("RSA PRIVATE KEY", body.Bytes, map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}), "encrypted"},
		"encrypted SEC 1":      {block("EC PRIVATE KEY", body.Bytes, map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}), "encrypted"},
		"half SEC 1":           {block("EC PRIVATE KEY", body.Bytes[:200], nil), "SEC 1"},
		"more than SEC 1":      {block("EC PRIVATE KEY", append(sec1, 5, 0), nil), "SEC 1"},
		"half PKCS #8":         {block("PRIVATE KEY", body.Bytes[:200], nil), "PKCS #8"},
		"half PKCS #1":         {block("RSA PRIVATE KEY", body.Bytes[:200], nil), "PKCS #1"},
		"more than PKCS #8":    {block("PRIVATE KEY", append(bytes.Clone(body.Bytes), 5, 0), nil), "PKCS #8"},
		"more than PKCS #1":    {block("RSA PRIVATE KEY", append(old, 5, 0), nil), "PKCS #1"},
		"EC":                   {string(ec), "not an RSA key"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := jose.ParsePrivatePEM(jose.RS256, []byte(c.data))
			if !errors.Is(err, jose.ErrKey) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestRSAKeysAreMadeInTwoSizes(t *testing.T) {
	for name, bits := range map[string]int{
		"RS256": 2048, "PS256": 2048, "RS256 of 3072 bits": 3072, "PS256 of 3072 bits": 3072,
	} {
		key := jose.OwnKeys()[name]
		if got := standard(t, key).(*rsa.PrivateKey).N.BitLen(); got != bits {
			t.Errorf("%s: %d bits", name, got)
		}
		token, err := jose.NewSigner(key, "k").Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := jose.Verify(token, only(key.Public())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if key, err := jose.GenerateRSA(jose.RS256, 2048); err != nil || key.Algorithm() != jose.RS256 {
		t.Errorf("the default asked for: %v", err)
	}
	for _, bits := range []int{-1, 0, 1024, 2047, 3071, 4096, 1 << 20} {
		if _, err := jose.GenerateRSA(jose.RS256, bits); !errors.Is(err, jose.ErrKey) {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
	for _, name := range []jose.Algorithm{jose.ES256, jose.MLDSA44, "HS256"} {
		if _, err := jose.GenerateRSA(name, 3072); !errors.Is(err, jose.ErrAlgorithm) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key belongs to one algorithm: what PEM holds of a kind, curve or size that
// is not the algorithm's is no key of it.
func TestPEMOfAnotherAlgorithmIsRefused(t *testing.T) {
	sameKeys := func(a, b jose.Algorithm) bool { // PEM says RSA, not how it signs
		return a == b || (keys()[a].Public().JWK("").Kty == "RSA" && keys()[b].Public().JWK("").Kty == "RSA")
	}
	for _, own := range withPEM {
		private, err := keys()[own].MarshalPEM()
		if err != nil {
			t.Fatal(err)
		}
		public, err := keys()[own].Public().MarshalPEM()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range withPEM {
			_, errPrivate := jose.ParsePrivatePEM(name, private)
			_, errPublic := jose.ParsePublicPEM(name, public)
			if sameKeys(own, name) != (errPrivate == nil) || sameKeys(own, name) != (errPublic == nil) {
				t.Errorf("%s key read as %s: %v, %v", own, name, errPrivate, errPublic)
			}
		}
	}
}

func TestForeignRSAKeysAreBounded(t *testing.T) {
	odd := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.SetBit(n, 0, 1)
	}
	for _, c := range []struct {
		n    *big.Int
		e    int
		good bool
	}{
		{odd(2048), 65537, true},
		{odd(8192), 3, true},
		{odd(2047), 65537, false},
		{odd(8193), 65537, false},
		{new(big.Int).Lsh(big.NewInt(1), 2047), 65537, false},
		{odd(2048), 1, false},
		{odd(2048), 65536, false},
	} {
		der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: c.n, E: c.e})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []jose.Algorithm{jose.RS256, jose.PS256} {
			_, err := jose.ParsePublicPEM(name, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
			if (err == nil) != c.good {
				t.Errorf("%s of %d bits, exponent %d: %v", name, c.n.BitLen(), c.e, err)
			}
		}
	}
}

func TestWeakRSAPrivateKeysAreRefused(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	raw, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	_, err = jose.ParsePrivatePEM(jose.RS256, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if !errors.Is(err, jose.ErrKey) || !strings.Contains(fmt.Sprint(err), "1024 bits; at least 2048") {
		t.Errorf("error %v", err)
	}
}

func TestUnusablePublicPEMIsRefused(t *testing.T) {
	private, err := keys()[jose.RS256].MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	ed, err := keys()[jose.EdDSA].Public().MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"empty":    nil,
		"private":  private,
		"Ed25519":  ed,
		"half DER": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{0x30, 0x03}}),
	} {
		if _, err := jose.ParsePublicPEM(jose.RS256, data); !errors.Is(err, jose.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFormsThatAKeyDoesNotHave(t *testing.T) {
	pq, classic := keys()[jose.MLDSA65], keys()[jose.RS256]
	if _, err := pq.MarshalPEM(); !errors.Is(err, jose.ErrKey) {
		t.Errorf("ML-DSA private PEM: %v", err)
	}
	if _, err := pq.Public().MarshalPEM(); !errors.Is(err, jose.ErrKey) {
		t.Errorf("ML-DSA public PEM: %v", err)
	}
	if _, err := jose.ParsePrivatePEM(jose.MLDSA65, nil); !errors.Is(err, jose.ErrKey) {
		t.Errorf("ML-DSA from private PEM: %v", err)
	}
	if _, err := jose.ParsePublicPEM(jose.MLDSA65, nil); !errors.Is(err, jose.ErrKey) {
		t.Errorf("ML-DSA from public PEM: %v", err)
	}
	if secret, public := classic.MarshalExpanded(); secret != nil || public != nil {
		t.Error("RSA has an expanded form")
	}
	if _, err := jose.ParseExpandedMLDSA(jose.RS256, nil, nil); !errors.Is(err, jose.ErrKey) {
		t.Errorf("RSA from expanded: %v", err)
	}
	if _, err := jose.ParseExpandedPublic(jose.MLDSA65, []byte("short")); !errors.Is(err, jose.ErrKey) {
		t.Errorf("short ML-DSA public key: %v", err)
	}
	for _, call := range []func() error{
		func() error { _, err := jose.Generate("none"); return err },
		func() error { _, err := jose.ParsePrivatePEM("HS256", nil); return err },
		func() error { _, err := jose.ParsePublicPEM("", nil); return err },
		func() error { _, err := jose.ParseExpandedMLDSA("ML-DSA", nil, nil); return err },
		func() error { _, err := jose.ParseExpandedPublic("ML-DSA", nil); return err },
	} {
		if err := call(); !errors.Is(err, jose.ErrAlgorithm) {
			t.Errorf("unknown algorithm: %v", err)
		}
	}
}

func TestPrivateKeysDoNotPrint(t *testing.T) {
	for name, key := range keys() {
		var printed strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
			fmt.Fprintf(&printed, verb+"\n", key)
			fmt.Fprintf(&printed, verb+"\n", *key)
		}
		printed.WriteString(key.String() + key.GoString())
		slog.New(slog.NewJSONHandler(&printed, nil)).Info("x", "key", key, "value", *key)
		for line := range strings.Lines(printed.String()) {
			if !strings.Contains(line, "[redacted]") {
				t.Errorf("%s prints as %.60s", name, line)
			}
		}
		if len(printed.String()) > 2000 {
			t.Errorf("%s prints %d bytes", name, len(printed.String()))
		}
		if b, err := json.Marshal(map[string]any{"key": key}); err == nil {
			t.Errorf("%s marshals to %.60s", name, b)
		}
	}
}

package jose_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
)

// TestKeysAreReadFromFilesAsTheyWereWritten, in PEM or in the encoding of FIPS 204.
func TestKeysAreReadFromFilesAsTheyWereWritten(t *testing.T) {
	for _, name := range jose.Algorithms() {
		key := keys()[name]
		secret, err := key.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		public, err := key.Public().Marshal()
		if err != nil {
			t.Fatal(err)
		}
		expanded := strings.HasPrefix(string(name), "ML-DSA-")
		if isPEM := bytes.HasPrefix(secret, []byte("-----BEGIN PRIVATE KEY-----")); isPEM == expanded || name.PostQuantum() != expanded {
			t.Errorf("%s: PEM %v, post-quantum %v", name, isPEM, name.PostQuantum())
		}
		if read, err := jose.ParsePrivate(name, secret); err != nil || !read.Public().Equal(key.Public()) {
			t.Errorf("%s: the private half: %v", name, err)
		}
		if read, err := jose.ParsePublic(name, public); err != nil || !read.Equal(key.Public()) {
			t.Errorf("%s: the public half: %v", name, err)
		}
		if _, err := jose.ParsePrivate(name, nil); !errors.Is(err, jose.ErrKey) || !strings.Contains(err.Error(), "is empty") {
			t.Errorf("%s: an empty private half: %v", name, err)
		}
		if _, err := jose.ParsePublic(name, nil); !errors.Is(err, jose.ErrKey) || !strings.Contains(err.Error(), "is empty") {
			t.Errorf("%s: an empty public half: %v", name, err)
		}
		if _, err := jose.ParsePrivate(name, public); err == nil {
			t.Errorf("%s: the public half is read as a private one", name)
		}
	}
	if jose.Algorithm("none").PostQuantum() {
		t.Error("an unknown algorithm is post-quantum")
	}
}

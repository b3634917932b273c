package jose

import (
	"bytes"
	"encoding/base64"
	"testing"
)

// Our encoder is the standard library's, but faster: every length around the
// steps that it takes, and every pair of characters.
func TestEncodingIsThatOfTheStandardLibrary(t *testing.T) {
	source := make([]byte, 3*len(pairs))
	for i := range pairs {
		source[3*i], source[3*i+1], source[3*i+2] = byte(i>>4), byte(i<<4)|byte(i>>8), byte(i)
	}
	check := func(src []byte) {
		want := base64.RawURLEncoding.EncodeToString(src)
		whole := bytes.Repeat([]byte{'!'}, len(want))
		encodeInto(whole, src)
		if string(whole) != want {
			t.Fatalf("%d bytes became %s", len(src), whole)
		}
	}
	for size := range 2000 {
		check(source[size%100 : size%100+size])
	}
	check(source)
}

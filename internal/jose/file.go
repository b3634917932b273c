package jose

import (
	"bytes"
	"fmt"
)

// Keys in files are PEM, except those of ML-DSA: they are in the encoding of FIPS 204,
// as liboqs writes it.

var errEmpty = fmt.Errorf("%w: it is empty", ErrKey)

// PostQuantum reports whether the algorithm is ML-DSA, whose keys are of type AKP.
func (a Algorithm) PostQuantum() bool {
	row, err := lookup(a)
	return err == nil && row.expandedPrivate != nil
}

// Marshal returns the key in the form of files.
func (k *PrivateKey) Marshal() ([]byte, error) {
	if k.Algorithm().PostQuantum() {
		secret, _ := k.MarshalExpanded()
		return secret, nil
	}
	return k.MarshalPEM()
}

// Marshal returns the key in the form of files.
func (k *PublicKey) Marshal() ([]byte, error) {
	if half, ok := k.key.(mldsaPublic); ok {
		return bytes.Clone(half.encoded), nil
	}
	return k.MarshalPEM()
}

// ParsePrivate reads what PrivateKey.Marshal returned.
func ParsePrivate(name Algorithm, data []byte) (*PrivateKey, error) {
	switch {
	case len(data) == 0:
		return nil, errEmpty
	case name.PostQuantum():
		return ParseExpandedMLDSA(name, data, nil)
	}
	return ParsePrivatePEM(name, data)
}

// ParsePublic reads what PublicKey.Marshal returned.
func ParsePublic(name Algorithm, data []byte) (*PublicKey, error) {
	switch {
	case len(data) == 0:
		return nil, errEmpty
	case name.PostQuantum():
		return ParseExpandedPublic(name, data)
	}
	return ParsePublicPEM(name, data)
}

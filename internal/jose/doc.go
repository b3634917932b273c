// Package jose implements JSON Object Signing: the table of signature algorithms, keys, JSON Web Keys and compact signed tokens.
//
//	signer := jose.NewSigner(private, kid)
//	token, err := signer.Sign(claims)
//	claims, header, err := jose.Verify(token, func(h jose.Header) (*jose.PublicKey, error) {
//		return keys[h.KeyID], nil
//	})
//
// It is the only package that knows what ML-DSA is, and the only one that joins
// or splits a token. Of a token's header only the key ID that selects a key is
// believed; the algorithm belongs to the key and the header must agree.
//
// It is pure: no clock, no files, no network. It does not know claims; what
// exp, iss and aud mean is decided in token and picoauth, which call it, as
// keyring does for the keys.
package jose

// Package jose is what the project knows about JSON Object Signing: the table
// of signature algorithms, keys, JSON Web Keys and compact signed tokens.
//
//	signer := jose.NewSigner(private, kid)
//	token, err := signer.Sign(claims)
//	claims, header, err := jose.Verify(token, func(h jose.Header) (*jose.PublicKey, error) {
//		return keys[h.KeyID], nil
//	})
//
// It is the only room that knows what ML-DSA is, and the only one that joins
// or splits a token. A token's header is believed in one thing, the id that
// picks a key; the algorithm belongs to the key and the header must agree.
//
// It is pure: no clock, no files, no network. It does not know claims; what
// exp, iss and aud mean is decided in token and picoauth, which call it, as
// keyring does for the keys.
package jose

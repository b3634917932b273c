// Package keyring owns the server's signing keys: it creates them on the first
// start, loads them on every other, signs with the active one and publishes
// the public halves.
//
//	ring, err := keyring.Open(ctx, keyring.Config{Dir: dir, Algorithm: jose.RS256, Adopted: store})
//	token, err := ring.Sign(claims)
//	body, etag := ring.JWKS()
//
// Keys live in one folder, in the files that the original server used:
// private.pem and public.pem, or pqc_secret.bin and pqc_public.bin. A private
// file is complete or not there; its rename is the last step of making a pair.
// What is found broken is refused with a sentence and never made anew.
//
// It does not know claims (token does) nor what a key's mathematics are (jose
// does). The store tells it, and is told, which key an adopted installation
// was signing with. server, token and httpapi call it.
package keyring

// Package keyring owns the server's signing keys: it creates them on the first
// start, loads them on every other, signs with the active one and publishes
// the public halves.
//
//	ring, err := keyring.Open(ctx, keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: store})
//	token, err := ring.Sign(claims)
//	body, etag := ring.JWKS()
//
// Which key is active stands in the database, whose replicas all sign with it
// and publish the same set. Private halves lie in one folder, in the files that
// the original server used: private.pem and public.pem, or pqc_secret.bin and
// pqc_public.bin. A private file is complete or not there; its rename is the
// last step of making a pair. On PostgreSQL with a master key they lie in the
// database instead, sealed. What is found broken, or recorded and missing, is
// refused with a sentence and never made anew.
//
// It does not know claims (token does) nor what a key's mathematics are (jose
// does). server, token and httpapi call it.
package keyring

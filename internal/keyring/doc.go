// Package keyring owns the server's signing keys: it creates them on the first
// start, loads them on every other, signs with the active one, publishes the
// public halves, and takes each key through its life.
//
//	ring, err := keyring.Open(ctx, keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: store})
//	token, err := ring.Sign(claims)
//	body, etag := ring.JWKS()
//	err = ring.Step(ctx) // every ring.Pace(): counts time, and takes the steps that are due
//
// A key is next (published, not yet signing), active, retiring (its last tokens
// may still be good), and removed. Which is what stands in the database, whose
// replicas all sign with the active one and publish the same set. Private halves
// lie in one folder, the active pair in the files that the original server used:
// private.pem and public.pem, or pqc_secret.bin and pqc_public.bin; the others by
// their ids. A private file is complete or not there; its rename is the last step
// of making a pair. Or they lie in the database, sealed under the master key.
// What is found broken, or recorded and missing, is refused with a sentence and
// never made anew. Desk is for operators, who work beside running servers.
//
// It does not know claims (token does) nor what a key's mathematics are (jose
// does). server, token, httpapi and cmd call it.
package keyring

// Package keyring owns the server's signing keys: it creates them on the first
// start, loads them on every other, signs with the active ones, publishes the
// public halves, and carries out what lifecycle decides.
//
//	ring, err := keyring.Open(ctx, keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: store})
//	token, err := ring.Sign(claims)                  // with the key of the default algorithm
//	signer, err := ring.Signer(jose.ES256)           // of another one that is configured
//	body, etag := ring.JWKS()
//	err = ring.Step(ctx)                             // every ring.Pace()
//
// Which key is what stands in the database, so all replicas sign with the same
// keys and publish the same set. Private halves are in a vault: files of one folder,
// or sealed in the database, where each row is authenticated under the master key
// as well. Ring is for servers, Admin for operators, who work beside them; Look is
// for commands that change nothing.
//
// It does not know claims (token does) nor what a key's mathematics are (jose
// does). server, token, httpapi and cmd call it.
package keyring

// Package keyring owns the server's signing keys: it creates them on the first
// start, loads them on every later one, signs with the active ones, publishes the
// public halves, and applies the changes that lifecycle computes.
//
//	ring, err := keyring.Open(ctx, keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: store})
//	signer, err := ring.Signer("")                   // of auth.algorithm, or of another one that is configured
//	token, err := signer.Sign(jose.TypeJWT, claims)
//	body := ring.Published().JWKS()
//	err = ring.Step(ctx)                             // every ring.Pace()
//
// The status of each key is in the database, so all replicas sign with the same keys
// and publish the same set. Private halves are in a vault: files of one folder, or
// sealed in the database, where each row is also authenticated under the master key.
// Ring is for servers, Admin for the commands of an operator beside running servers.
//
// It does not know claims (see token) nor signature algorithms (see jose). server,
// token, httpapi and cmd call it.
package keyring

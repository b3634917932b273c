// Package picoauth guards a Go service with the access tokens of a pico-auth
// server:
//
//	guard, err := picoauth.New(picoauth.Config{
//		Issuer:   "https://auth.example.com",
//		Audience: "pico-bot",
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	mux := http.NewServeMux()
//	mux.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
//		who, _ := picoauth.FromContext(r.Context())
//		fmt.Fprintln(w, "hello", who.Subject, "of", who.OrgID)
//	})
//	operators := picoauth.MinRole(picoauth.Operator)
//	mux.Handle("DELETE /notes/{id}", operators(deleteNote))
//	log.Fatal(http.ListenAndServe(":8080", guard.Require(mux)))
//
// [Guard.Require] refuses requests without a valid token; [Guard.Optional] is for
// routes that also serve anonymous callers. Both, and [MinRole],
// [RequireGroup] and [RequireScope], which go inside either, are middleware of the type
// func(http.Handler) http.Handler that routers such as chi accept directly. The
// folder examples has net/http, chi, echo, gin and gRPC.
//
// # Roles
//
// Roles are ordered: [Viewer], [Operator], [OrgAdmin], [Superadmin]. MinRole(Operator)
// lets a superadmin pass too. There is no check for one exact role, since it would
// refuse users who may do more.
//
// # What is accepted
//
// A token is a compact JWS whose kid names a key of the issuer's key set; the key
// determines the algorithm, never the token. RS256, PS256, ES256, ES384,
// EdDSA over Ed25519 (by this name and by Ed25519), ML-DSA-44, ML-DSA-65 and
// ML-DSA-87 are supported. The claims exp, iat, iss, aud and sub are required
// with the right types; nbf is checked when present. Everything else in a header
// (jwk, jku, x5c, crit, zip) is refused or ignored, and a token of more than 16
// KiB is refused unread. A token is read from the Authorization header only.
//
// Only access tokens are accepted: their typ is JWT or at+jwt (RFC 9068). An ID
// token (a claim nonce, at_hash or c_hash) and a logout token (typ logout+jwt) of
// the same issuer are refused.
//
// The signature is computed once for a token and a key, and skipped while the same
// token is presented again; everything else is checked each time. A guard
// remembers the SHA-256 of 8,192 tokens for this, half a megabyte.
//
// An ECDSA signature can be rewritten into another one that verifies, too:
// a service that must recognize a token remembers its jti, not its text.
//
// # When a session ends
//
// A valid token stays valid until it expires, 15 minutes by default: role,
// groups and suspension are as they were when it was issued. With
// Config.ServiceToken a Guard asks the issuer which sessions have ended (logout,
// suspension, another password or role, reuse of a refresh token) and refuses their
// tokens, and those of a revoked key, within Config.RevokedWithin, 15 seconds by
// default. It asks only while there are requests, for what is new, at random moments
// before the bound; a request waits for the list only if none came before it for that
// long.
//
// # The key set
//
// Keys are fetched from Issuer + "/api/v1/auth/jwks" and cached as long as the
// response's max-age, less its Age when a cache had it, but no longer than an
// hour; for a minute when no time is left or it is no-cache or no-store, and
// for five when it has no max-age. A busy service fetches the next set when nine
// tenths of that have passed, so a key that is published for longer than max-age
// before it signs is known when its first token arrives.
// An unknown kid causes an earlier fetch, at most two at once and then one every 30
// seconds, whatever clients send. While the issuer is unreachable its last
// keys and its last list of revoked tokens are used for Config.MaxOutage, an hour by
// default; a key that a fetched set no longer lists is refused at once.
//
// # Refusals
//
// Responses follow RFC 6750 and RFC 9457: 401 with a bare challenge when there is
// no token, 401 invalid_token when it is invalid, 403 insufficient_scope when a role
// or group is missing, 400 invalid_request when the Authorization header is
// malformed, 503 when no key set is available. Bodies are
// application/problem+json and never contain any part of the token.
//
// # Plain HTTP
//
// The key set is fetched over https, from loopback hosts also over http. Inside a
// container network, or a mesh that terminates TLS outside of this process, the
// server may be reachable over http only: Config.JWKSURL names that address and
// Config.AllowHTTP allows it. An attacker who can respond in the server's place can
// then sign in to this service as any user; a warning is logged at each start.
//
// # Compatibility
//
// A patch release of pico-auth removes and changes nothing that this package exports. A
// minor release may remove what the minor release before it has marked Deprecated. Both
// may add fields to structs: name the fields of a literal. A Guard accepts the tokens of
// every server from v0.4.0 on.
//
// The package picoauthtest is an issuer for your tests.
package picoauth

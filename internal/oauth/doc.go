// Package oauth is the vocabulary of OAuth 2.0 and OpenID Connect, and the rules that
// follow from a request and a client alone: which redirect URI matches, which scopes
// are asked for, whether a code verifier fits, what an error is called.
//
// It is pure: no clock, no database, no network. Each MUST of a specification is one
// function with a test that is named after its section. client keeps clients,
// authorize keeps requests, token issues tokens, and oidc speaks HTTP.
package oauth

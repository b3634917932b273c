// Package oidc speaks HTTP for OAuth 2.0 and OpenID Connect: the endpoints under
// /oauth2 and the documents that describe them.
//
// Each endpoint parses, asks a flow to decide, and writes what it decided, in the
// form of its RFC: bodies are forms, unknown parameters are ignored and repeated ones
// refused, and every refusal is an oauth.Error. The rules that follow from a request
// and a client alone are in oauth. It never imports store, and has no pages: those are
// hosted's. server mounts its Group.
package oidc

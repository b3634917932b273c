// Package web is the HTTP layer that all protocols share.
//
// It owns the Router, which processes each request from the client address and the
// request ID to the access log. It owns the table of routes, each with an access
// rule and a credential, and what follows from the table: 404, 405, preflights,
// protection against cross-site requests. It owns the headers, the reading of
// bodies, documents with an ETag, and the path of the issuer that everything is
// mounted under.
//
// It does not know tokens, users or the database: each protocol has its own
// functions to authorize a request and to refuse one (Group). httpapi declares its
// routes here; server calls New.
package web

// Package web is what every protocol that speaks HTTP shares, below httpapi.
//
// It owns the Router: the one pass that each request goes through, from the
// client's address and the request ID to the access log. It owns the table of
// routes, each declared with who may call it and by which credential, and what
// follows from the table: 404, 405, preflights, protection against cross-site
// requests. It owns the headers, the reading of bodies, documents with an ETag,
// and the path of the issuer that everything is mounted under.
//
// It knows no token, no user and no database: a protocol brings its own way to
// authorize a request and its own way to refuse one (Group).
package web

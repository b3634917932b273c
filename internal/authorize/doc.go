// Package authorize keeps authorization requests: one sign-in at a client in progress,
// what has been decided about it so far, and its code; and what users allow clients
// beyond a session.
//
// Everything turns on one question, what is missing: each page records the answer of
// the user with a verb of Requests and goes back to it, and when nothing is missing the
// browser gets the code. A request belongs to one browser, and its code goes only to the
// browser whose session it was issued for. The package does not authenticate users
// (login), starts no sessions (session), issues no tokens (token) and knows no HTTP.
// oidc and hosted call it.
package authorize

// Package server is the running program: it builds the services from a
// configuration, mounts the protocols on one router, listens, and drains. The
// tests of complete flows are here.
//
// It owns the health endpoints, the metrics, TLS, and the preconditions of a
// start. It does not own the processing of every request (web), the endpoints of
// the API (httpapi) nor the rules about users and tokens (directory, login,
// token). Only cmd calls it.
package server

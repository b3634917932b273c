// Package server is the running program: it builds the rooms from a
// configuration, mounts their handlers behind one middleware, listens, and
// drains. The tests of whole flows live here.
//
// It owns the middleware (request id, client address, recovery, access log,
// metrics), the health endpoints, TLS, and the rules about what may be started
// at all. It does not own any endpoint of the API (httpapi) nor any rule about
// people and tokens (directory, login, token). Only cmd calls it.
package server

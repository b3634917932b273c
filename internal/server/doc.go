// Package server is the running program: it builds the rooms from a
// configuration, mounts the protocols on one router, listens, and drains. The
// tests of whole flows live here.
//
// It owns the health endpoints, the metrics, TLS, and the rules about what may
// be started at all. It does not own what happens to every request (web), any
// endpoint of the API (httpapi) nor any rule about people and tokens
// (directory, login, token). Only cmd calls it.
package server

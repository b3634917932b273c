// Package js is the JavaScript client of pico-auth, for Go services that serve it to
// their pages. Others take it from npm.
//
// It owns no code in Go; pico-auth.js is the client, README.md says how to use it.
package js

import _ "embed"

// Client is pico-auth.js, an ES module without imports.
//
//go:embed pico-auth.js
var Client []byte

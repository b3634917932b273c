// Package picoauthtest is an issuer of access tokens inside a test:
//
//	issuer := picoauthtest.NewIssuer(t)
//	guard, err := picoauth.New(issuer.Config())
//	...
//	req.Header.Set("Authorization", "Bearer "+issuer.Mint(picoauthtest.Claims{"role": picoauth.Operator}))
//
// It serves discovery and a key set over HTTP on a loopback port, like a
// pico-auth server does, and ends with its test. A test can rotate and retire
// its keys, make it fail and count its fetches. Nothing in this package is for
// production.
package picoauthtest

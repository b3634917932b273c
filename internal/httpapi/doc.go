// Package httpapi is the JSON API under /api/v1, the key set and discovery,
// /openapi.json and the API page at /docs.
//
// It owns the wire format: the routes and who may call them (routes.go, one
// table), what a body may look like (body.go, strictjson.go), what a refusal looks
// like (errors.go, the only file that maps kinds of faults to statuses), and the
// OpenAPI document. It decides nothing about users, groups or tokens: directory,
// login and token do, and check again, inside their transactions, whatever this
// package has already checked by role. It never uses the store. What every protocol
// needs is in web, whose router serves the API's routes; the package server joins
// the two.
package httpapi

// Package httpapi is the JSON API under /api/v1, the key set and discovery,
// /openapi.json, the API page at /docs and the page at /.
//
// It owns the wire: which routes there are and who may call them (routes.go,
// one table), what a body may look like (body.go, strictjson.go), what a
// refusal looks like (errors.go, the only file that knows which status a kind
// of fault has), and the OpenAPI document. It decides nothing about people,
// groups or tokens: that is done by directory, login and token, which check
// again, inside their transactions, whatever this package has already checked
// by role. It never reaches the store. What every protocol needs is in web,
// whose router serves the API's routes; the package server joins the two.
package httpapi

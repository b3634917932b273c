package httpapi

import (
	"bytes"
	"html/template"
	"net/http"
	"reflect"
	"strconv"
	"sync"

	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/web"
)

const tagKeys = "keys"

// revalidate lets a response be cached, and revalidated each time.
var revalidate = []string{"no-cache"}

// cachePublic is for what changes with the keys only: a client that caches it no
// longer than that has each key before it receives a token signed by it.
func (a *API) cachePublic() []string {
	age := a.keys.MaxAge()
	if age == 0 {
		return revalidate
	}
	return []string{"public, max-age=" + strconv.Itoa(int(age.Seconds()))}
}

func (a *API) publicRoutes() []route {
	return []route{
		{
			Route: public("/api/v1/auth/jwks", "jwks"),
			Tag:   tagKeys, Summary: "The public keys",
			Description: "The JWK Set that verifies access tokens: the active key first, then the pending one, then retiring keys whose tokens may still be valid. A key is listed before it signs; cache the set no longer than Cache-Control says. It has an ETag.",
			plain:       a.serveKeys, response: reflect.TypeFor[KeySet](),
		},
		{
			Route: public("/.well-known/jwks.json", "jwks_well_known"),
			Tag:   tagKeys, Summary: "The public keys, at the address that many libraries assume",
			Description: "The same document as /api/v1/auth/jwks.",
			plain:       a.serveKeys, response: reflect.TypeFor[KeySet](),
		},
		{
			Route: public("/.well-known/jwks-pqc.json", "jwks_pqc"),
			Tag:   tagKeys, Summary: "The public keys, always including post-quantum ones",
			Description: "Every key. /api/v1/auth/jwks leaves out AKP keys (ML-DSA) that are only used for tokens of single clients, since some clients refuse a whole set for one key type that they do not know.",
			plain:       a.serveAllKeys, response: reflect.TypeFor[KeySet](),
		},
		{Route: at(http.MethodGet, "/openapi.json", "openapi", web.Anonymous, web.NoCredential), plain: a.serveOpenAPI},
		{Route: at(http.MethodGet, "/docs", "docs", web.Anonymous, web.NoCredential), plain: a.serveDocs()},
		{Route: at(http.MethodGet, "/docs/{file}", "docs_file", web.Anonymous, web.NoCredential), plain: a.serveDocsFile()},
	}
}

// public is a document that scripts of every origin may read.
func public(pattern, id string) web.Route {
	rt := at(http.MethodGet, pattern, id, web.Anonymous, web.NoCredential)
	rt.Public = true
	return rt
}

func (a *API) serveKeys(w http.ResponseWriter, r *http.Request) {
	a.current().keySet.Serve(w, r, a.cachePublic())
}

func (a *API) serveAllKeys(w http.ResponseWriter, r *http.Request) {
	a.current().allKeys.Serve(w, r, a.cachePublic())
}

// published holds the documents for one state of the keys.
type published struct {
	state   *keyring.Published
	keySet  web.Compressible
	allKeys web.Compressible
}

// current makes new documents when the keys have changed.
func (a *API) current() *published {
	state := a.keys.Published()
	if p := a.published.Load(); p != nil && p.state == state {
		return p
	}
	p := &published{
		state: state, keySet: web.NewCompressible("application/json", state.JWKS()), allKeys: web.NewCompressible("application/json", state.AllJWKS()),
	}
	a.published.Store(p)
	return p
}

// KeySet is a JWK Set, RFC 7517.
type KeySet struct {
	Keys []Key `json:"keys" nullable:"false"`
}

// Key is a public key: RSA or EC (RFC 7518), OKP for EdDSA (RFC 8037), or AKP for
// ML-DSA (RFC 9964).
type Key struct {
	Type      string `json:"kty" enum:"RSA,EC,OKP,AKP" example:"RSA"`
	ID        string `json:"kid" doc:"As in the header of the tokens it verifies." example:"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"`
	Use       string `json:"use" example:"sig"`
	Algorithm string `json:"alg" example:"RS256"`
	Curve     string `json:"crv,omitempty" doc:"Of an EC or OKP key." example:"P-256"`
	X         string `json:"x,omitempty" doc:"Of an EC or OKP key."`
	Y         string `json:"y,omitempty" doc:"Of an EC key."`
	Modulus   string `json:"n,omitempty" doc:"Of an RSA key." example:"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx..."`
	Exponent  string `json:"e,omitempty" doc:"Of an RSA key." example:"AQAB"`
	Public    string `json:"pub,omitempty" doc:"Of an AKP key."`
}

// page returns a function that renders an HTML page at the first request.
func page(text string, data any) func() web.Compressible {
	return sync.OnceValue(func() web.Compressible {
		var out bytes.Buffer
		if err := template.Must(template.New("").Parse(text)).Execute(&out, data); err != nil {
			panic(err) // our own pages, into memory
		}
		return web.NewCompressible("text/html; charset=utf-8", out.Bytes())
	})
}

package web

import "net/http"

// Unambiguous ends the connection after each request whose end two readers may
// see in different places; what follows such a request may be smuggled. net/http
// takes one of the two lengths of a chunked request that has both, and of an
// HTTP/1.0 request it drops Transfer-Encoding without a word, so that none of
// those may be followed by another (RFC 9112, section 6.1).
func Unambiguous(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

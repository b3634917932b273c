package web

import "net/http"

// Unambiguous closes the connection after each request whose length two parsers may
// read differently, so that no request can be smuggled behind it (RFC 9112, section
// 6.1). net/http uses one of the lengths of a chunked request that also has a
// Content-Length, and ignores Transfer-Encoding of an HTTP/1.0 request.
func Unambiguous(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

//go:build linux

package limit

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Serve is a server of net/http with nothing but the primitives behind it: an
// answer of the size of a key set, a bare hash at cost 12, a bare signature by
// its algorithm. It returns when it fails.
func Serve(addr string) error {
	static := []byte(strings.Repeat("k", 460))
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = w.Write(static)
	}
	mux.HandleFunc("GET /livez", answer)
	mux.HandleFunc("GET /static", answer)
	mux.HandleFunc("POST /hash", work(Hash(12)))
	for _, name := range []string{"RS256", "PS256", "ES256", "ES384", "EdDSA", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"} {
		mux.HandleFunc("POST /sign/"+name, work(Sign(name)))
	}
	server := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}

// work does the work once a request. What it needs is made at the first one.
func work(newWork func() (func() error, error)) http.HandlerFunc {
	ready := sync.OnceValues(newWork)
	return func(w http.ResponseWriter, _ *http.Request) {
		do, err := ready()
		if err == nil {
			err = do()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "done")
	}
}

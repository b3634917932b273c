// Command chi guards a service on go-chi/chi, whose middleware has the same type
// as picoauth's.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/pico-auth/pico-auth/picoauth"
)

func main() {
	guard, err := picoauth.New(picoauth.Config{Issuer: os.Getenv("AUTH_ISSUER"), Audience: os.Getenv("AUTH_AUDIENCE")})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "localhost:8080", Handler: routes(guard), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func routes(guard *picoauth.Guard) http.Handler {
	r := chi.NewRouter()
	r.Get("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "welcome") })
	r.Route("/notes", func(r chi.Router) {
		r.Use(guard.Require)
		r.Get("/", func(w http.ResponseWriter, r *http.Request) {
			who, _ := picoauth.FromContext(r.Context())
			fmt.Fprintln(w, "notes of", who.OrgID)
		})
		r.With(picoauth.MinRole(picoauth.Operator)).Delete("/{id}", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, "deleted", chi.URLParam(r, "id"))
		})
	})
	return r
}

// Command nethttp guards a service of the standard library's net/http:
//
//	AUTH_ISSUER=https://auth.example.com AUTH_AUDIENCE=pico-bot go run ./nethttp
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

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

// routes has a public route, one for every user, and one for operators and
// stronger roles.
func routes(guard *picoauth.Guard) http.Handler {
	operators := picoauth.MinRole(picoauth.Operator)
	mux := http.NewServeMux()
	mux.Handle("GET /", guard.Optional(http.HandlerFunc(welcome)))
	mux.Handle("GET /notes", guard.Require(http.HandlerFunc(listNotes)))
	mux.Handle("DELETE /notes/{id}", guard.Require(operators(http.HandlerFunc(deleteNote))))
	return mux
}

func welcome(w http.ResponseWriter, r *http.Request) {
	if who, ok := picoauth.FromContext(r.Context()); ok {
		fmt.Fprintln(w, "welcome back", who.Email)
		return
	}
	fmt.Fprintln(w, "welcome")
}

func listNotes(w http.ResponseWriter, r *http.Request) {
	who, _ := picoauth.FromContext(r.Context())
	fmt.Fprintln(w, "notes of", who.OrgID)
}

func deleteNote(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "deleted", r.PathValue("id"))
}

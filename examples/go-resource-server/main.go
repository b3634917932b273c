// Command go-resource-server is an API that takes access tokens of clients. The
// client asks for its audience with the parameter resource (RFC 8707):
//
//	pico-auth client create --kind machine --audience https://notes.example.com
//	AUDIENCE=https://notes.example.com go run ./go-resource-server
package main

import (
	"cmp"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/pico-auth/pico-auth/picoauth"
)

func main() {
	guard, err := picoauth.New(picoauth.Config{
		Issuer:   cmp.Or(os.Getenv("ISSUER"), "http://localhost:8100"),
		Audience: os.Getenv("AUDIENCE"),
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /notes", guard.Require(http.HandlerFunc(notes)))
	port := cmp.Or(os.Getenv("PORT"), "3001")
	log.Println("listening on http://localhost:" + port)
	server := &http.Server{Addr: "localhost:" + port, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func notes(w http.ResponseWriter, r *http.Request) {
	who, _ := picoauth.FromContext(r.Context())
	fmt.Fprintln(w, "notes for", cmp.Or(who.Email, who.Subject))
}

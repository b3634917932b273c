package main

import (
	"bytes"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/picoauth"
	"github.com/pico-auth/pico-auth/picoauth/picoauthtest"
)

func TestNotesAreOfTheirUserAndOperatorsSeeAll(t *testing.T) {
	issuer := picoauthtest.NewIssuer(t)
	guard, err := picoauth.New(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	handler := routes(settings{issuer: "https://auth.example.com", clientID: "notes"}, guard)
	call := func(method, path, body, token string) (int, string) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	ada, bob := issuer.Mint(picoauthtest.Claims{"sub": "ada"}), issuer.Mint(picoauthtest.Claims{"sub": "bob"})
	operator := issuer.Mint(picoauthtest.Claims{"sub": "eve", "role": picoauth.Operator})
	for _, step := range []struct {
		method, path, body, token string
		status                    int
		has, hasNot               string
	}{
		{"GET", "/healthz", "", "", http.StatusOK, "", ""},
		{"GET", "/", "", "", http.StatusOK, `data-issuer="https://auth.example.com"`, ""},
		{"GET", "/pico-auth.js", "", "", http.StatusOK, "export class PicoAuth", ""},
		{"GET", "/api/notes", "", "", http.StatusUnauthorized, "", ""},
		{"POST", "/api/notes", `{"text": "bread"}`, ada, http.StatusCreated, "bread", ""},
		{"POST", "/api/notes", `{"text": "  "}`, ada, http.StatusUnprocessableEntity, "", ""},
		{"POST", "/api/notes", `{"text": "` + strings.Repeat("é", maxText+1) + `"}`, ada, http.StatusUnprocessableEntity, "", ""},
		{"POST", "/api/notes", `{"text": "milk"}`, bob, http.StatusCreated, "milk", ""},
		{"GET", "/api/notes", "", ada, http.StatusOK, "bread", "milk"},
		{"GET", "/api/notes/all", "", ada, http.StatusForbidden, "", "milk"},
		{"GET", "/api/notes/all", "", operator, http.StatusOK, "milk", ""},
		{"GET", "/api/notes", "", operator, http.StatusOK, "[]", "bread"},
	} {
		status, text := call(step.method, step.path, step.body, step.token)
		if status != step.status || !strings.Contains(text, step.has) || (step.hasNot != "" && strings.Contains(text, step.hasNot)) {
			t.Errorf("%s %s: %d %s", step.method, step.path, status, text)
		}
	}
}

// The address is announced once the application responds there.
func TestAnAddressInUseIsNotAnnounced(t *testing.T) {
	taken, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var logged bytes.Buffer
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	err = run(settings{issuer: "http://localhost:8100", clientID: "notes", audience: "https://notes.example.com", listen: taken.Addr().String()})
	if err == nil || logged.Len() > 0 {
		t.Fatalf("error %v, log %q", err, logged.String())
	}
}

package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	js "github.com/pico-auth/pico-auth/clients/js"
	"github.com/pico-auth/pico-auth/picoauth"
)

//go:embed page
var files embed.FS

var page = template.Must(template.ParseFS(files, "page/index.html"))

// note is what a user wrote.
type note struct {
	Text    string    `json:"text"`
	Author  string    `json:"author"`
	Written time.Time `json:"written"`
	owner   string
}

// book holds the notes, in memory.
type book struct {
	mu    sync.Mutex
	notes []note
}

const (
	maxText  = 1000
	maxNotes = 1000
)

// routes has the page for everyone, the notes of each user, and those of all for
// operators and stronger roles.
func routes(s settings, guard *picoauth.Guard) http.Handler {
	b := &book{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { showPage(w, s) })
	mux.HandleFunc("GET /app.js", file("page/app.js"))
	mux.HandleFunc("GET /style.css", file("page/style.css"))
	mux.HandleFunc("GET /pico-auth.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "pico-auth.js", time.Time{}, bytes.NewReader(js.Client))
	})
	mux.Handle("GET /api/notes", guard.Require(http.HandlerFunc(b.own)))
	mux.Handle("POST /api/notes", guard.Require(http.HandlerFunc(b.write)))
	operators := picoauth.MinRole(picoauth.Operator)
	mux.Handle("GET /api/notes/all", guard.Require(operators(http.HandlerFunc(b.all))))
	return mux
}

func file(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, name) }
}

// showPage allows only scripts of this origin, since a script can read the tokens, and
// requests to this origin and the issuer.
func showPage(w http.ResponseWriter, s settings) {
	issuer, err := url.Parse(s.issuer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; "+
		"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "+
		"connect-src 'self' "+issuer.Scheme+"://"+issuer.Host)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, map[string]string{"Issuer": s.issuer, "ClientID": s.clientID}) // the browser may have disconnected
}

func (b *book) own(w http.ResponseWriter, r *http.Request) {
	who, _ := picoauth.FromContext(r.Context())
	b.list(w, func(n note) bool { return n.owner == who.Subject })
}

func (b *book) all(w http.ResponseWriter, _ *http.Request) {
	b.list(w, func(note) bool { return true })
}

// list writes the notes that are wanted, the newest first.
func (b *book) list(w http.ResponseWriter, wanted func(note) bool) {
	found := []note{}
	b.mu.Lock()
	for _, n := range slices.Backward(b.notes) {
		if wanted(n) {
			found = append(found, n)
		}
	}
	b.mu.Unlock()
	writeJSON(w, http.StatusOK, found)
}

func (b *book) write(w http.ResponseWriter, r *http.Request) {
	who, _ := picoauth.FromContext(r.Context())
	var n note
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4*maxText+1024)).Decode(&n)
	n.Text = strings.TrimSpace(n.Text)
	if err != nil || n.Text == "" || len([]rune(n.Text)) > maxText {
		http.Error(w, "a note has 1 to 1000 characters", http.StatusUnprocessableEntity)
		return
	}
	n.owner, n.Author, n.Written = who.Subject, who.Email, time.Now().UTC()
	b.mu.Lock()
	if len(b.notes) == maxNotes {
		b.notes = slices.Delete(b.notes, 0, 1) // memory is not a database
	}
	b.notes = append(b.notes, n)
	b.mu.Unlock()
	writeJSON(w, http.StatusCreated, n)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the browser may have disconnected
}

// Command go-web is a web application that signs its users in with
// golang.org/x/oauth2 and coreos/go-oidc:
//
//	pico-auth client create --kind web --redirect-uri http://localhost:3000/callback
//	CLIENT_ID=... CLIENT_SECRET=... go run ./go-web
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"html/template"
	"log"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

var (
	issuer  = cmp.Or(os.Getenv("ISSUER"), "http://localhost:8100")
	port    = cmp.Or(os.Getenv("PORT"), "3000")
	baseURL = "http://localhost:" + port
)

func main() {
	provider, err := oidc.NewProvider(context.Background(), issuer)
	if err != nil {
		log.Fatal(err)
	}
	a := &app{
		provider: provider,
		verifier: provider.Verifier(&oidc.Config{ClientID: os.Getenv("CLIENT_ID")}),
		client: oauth2.Config{
			ClientID:     os.Getenv("CLIENT_ID"),
			ClientSecret: os.Getenv("CLIENT_SECRET"),
			Endpoint:     provider.Endpoint(),
			RedirectURL:  baseURL + "/callback",
			Scopes:       []string{oidc.ScopeOpenID, "profile", "email"},
		},
		users: map[string]user{},
	}
	a.client.Endpoint.AuthStyle = oauth2.AuthStyleInHeader // client_secret_basic
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /login", a.login)
	mux.HandleFunc("GET /callback", a.callback)
	mux.HandleFunc("GET /logout", a.logout)
	log.Println("open", baseURL)
	server := &http.Server{Addr: "localhost:" + port, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// app is the application; users are those signed in, by the value of their
// cookie. A real application keeps them in its own store.
type app struct {
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	client   oauth2.Config
	mu       sync.Mutex
	users    map[string]user
}

type user struct {
	Subject string `json:"sub"`
	Email   string `json:"email"`
	Name    string `json:"name"`
	idToken string
}

var page = template.Must(template.New("").Parse(`<!doctype html><title>go-web</title>
{{with .}}<p>Hello {{or .Name .Email}}</p><p>{{.Email}}</p><a href="/logout">Sign out</a>{{else}}<a href="/login">Sign in</a>{{end}}`))

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	var who *user
	if c, err := r.Cookie("session"); err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		if u, ok := a.users[c.Value]; ok {
			who = &u
		}
	}
	if err := page.Execute(w, who); err != nil {
		log.Print(err)
	}
}

// login keeps state, nonce and PKCE verifier in cookies until the callback.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	for name, value := range map[string]string{"state": state, "nonce": nonce, "verifier": verifier} {
		setCookie(w, name, value, 600)
	}
	http.Redirect(w, r, a.client.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), http.StatusFound)
}

func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	state, nonce, verifier := cookie(r, "state"), cookie(r, "nonce"), cookie(r, "verifier")
	for _, name := range []string{"state", "nonce", "verifier"} {
		setCookie(w, name, "", -1)
	}
	q := r.URL.Query()
	switch {
	case state == "" || q.Get("state") != state:
		http.Error(w, "this sign-in was not started here", http.StatusBadRequest)
		return
	case q.Get("iss") != issuer: // RFC 9207
		http.Error(w, "the response is from another issuer", http.StatusBadRequest)
		return
	case q.Get("error") != "":
		http.Error(w, q.Get("error")+": "+q.Get("error_description"), http.StatusForbidden)
		return
	}
	tokens, err := a.client.Exchange(r.Context(), q.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	who, err := a.verify(r.Context(), tokens, nonce)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	session := rand.Text()
	a.mu.Lock()
	a.users[session] = who
	a.mu.Unlock()
	setCookie(w, "session", session, 0)
	http.Redirect(w, r, "/", http.StatusFound)
}

// verify checks the ID token and asks userinfo for the claims of the scopes.
func (a *app) verify(ctx context.Context, tokens *oauth2.Token, nonce string) (user, error) {
	raw, _ := tokens.Extra("id_token").(string)
	idToken, err := a.verifier.Verify(ctx, raw)
	if err != nil {
		return user{}, err
	}
	if idToken.Nonce != nonce {
		return user{}, errNonce
	}
	info, err := a.provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return user{}, err
	}
	if info.Subject != idToken.Subject {
		return user{}, errSubject
	}
	who := user{idToken: raw}
	return who, info.Claims(&who)
}

// logout ends the session here and at the issuer.
func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	who := a.users[cookie(r, "session")]
	delete(a.users, cookie(r, "session"))
	a.mu.Unlock()
	setCookie(w, "session", "", -1)
	var found struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := a.provider.Claims(&found); err != nil || who.idToken == "" {
		http.Redirect(w, r, "/", http.StatusFound)
		return
	}
	q := url.Values{"id_token_hint": {who.idToken}, "post_logout_redirect_uri": {baseURL + "/"}}
	http.Redirect(w, r, found.EndSession+"?"+q.Encode(), http.StatusFound)
}

type refusal string

func (e refusal) Error() string { return string(e) }

const (
	errNonce   refusal = "the ID token is of another sign-in"
	errSubject refusal = "userinfo is of another user"
)

func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie leaves Secure out, since the example runs on http://localhost.
func setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

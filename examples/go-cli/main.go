// Command go-cli is a program on the user's device: it signs the user in with the
// browser, a redirect to a loopback address and PKCE (RFC 8252):
//
//	pico-auth client create --kind native --redirect-uri http://127.0.0.1/callback
//	CLIENT_ID=... go run ./go-cli
//
// The port of the redirect URI is another one at each run.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	issuer := cmp.Or(os.Getenv("ISSUER"), "http://localhost:8100")
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	client := oauth2.Config{
		ClientID:    os.Getenv("CLIENT_ID"),
		Endpoint:    provider.Endpoint(),
		RedirectURL: "http://" + listener.Addr().String() + "/callback",
		Scopes:      []string{oidc.ScopeOpenID, "email", oidc.ScopeOfflineAccess},
	}
	client.Endpoint.AuthStyle = oauth2.AuthStyleInParams // a public client sends its id only
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	address := client.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier))
	fmt.Println("Sign in at", address)
	openBrowser(ctx, address)

	code, err := receive(ctx, listener, issuer, state)
	if err != nil {
		return err
	}
	tokens, err := client.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return err
	}
	raw, _ := tokens.Extra("id_token").(string)
	idToken, err := provider.Verifier(&oidc.Config{ClientID: client.ClientID}).Verify(ctx, raw)
	if err != nil {
		return err
	}
	if idToken.Nonce != nonce {
		return errors.New("the ID token is of another sign-in")
	}
	info, err := provider.UserInfo(ctx, client.TokenSource(ctx, tokens)) // refreshes when it has to
	if err != nil {
		return err
	}
	fmt.Println("Hello", info.Email)
	return nil
}

// receive answers the one request that the browser makes and returns its code.
func receive(ctx context.Context, listener net.Listener, issuer, state string) (string, error) {
	type result struct {
		code string
		err  error
	}
	results := make(chan result, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("state") != state || q.Get("iss") != issuer {
			http.Error(w, "this sign-in was not started here", http.StatusBadRequest)
			return
		}
		got := result{code: q.Get("code")}
		if q.Has("error") {
			got.err = errors.New(q.Get("error") + ": " + q.Get("error_description"))
		}
		fmt.Fprintln(w, "You can close this window.")
		select {
		case results <- got:
		default:
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Shutdown(ctx) }()
	select {
	case got := <-results:
		return got.code, got.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// openBrowser does what it can; the address is printed as well.
func openBrowser(ctx context.Context, address string) {
	command := map[string][]string{
		"darwin":  {"open"},
		"windows": {"rundll32", "url.dll,FileProtocolHandler"},
	}[runtime.GOOS]
	if command == nil {
		command = []string{"xdg-open"}
	}
	if os.Getenv("NO_BROWSER") == "" {
		_ = exec.CommandContext(ctx, command[0], append(command[1:], address)...).Start()
	}
}

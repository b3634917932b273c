// Command notes is an application in the browser with an API of its own: the page signs
// its user in with clients/js, the API is guarded by picoauth. Operators and stronger
// roles also see the notes of others.
//
//	pico-auth client create --kind spa --name Notes --scope openid,profile,email,roles \
//	  --audience https://notes.example.com --redirect-uri http://localhost:3000/ \
//	  --post-logout-redirect-uri http://localhost:3000/
//	make notes CLIENT_ID=...
package main

import (
	"cmp"
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/pico-auth/pico-auth/picoauth"
)

// settings come from the environment; empty ones have these defaults.
type settings struct {
	issuer   string // ISSUER, as the browser reaches it
	internal string // ISSUER_INTERNAL, as this process reaches it: the issuer
	clientID string // CLIENT_ID, required
	audience string // AUDIENCE of the client: https://notes.example.com
	listen   string // LISTEN: localhost:PORT, with the port 3000
}

func main() {
	s := settings{
		issuer:   cmp.Or(os.Getenv("ISSUER"), "http://localhost:8100"),
		internal: os.Getenv("ISSUER_INTERNAL"),
		clientID: os.Getenv("CLIENT_ID"),
		audience: cmp.Or(os.Getenv("AUDIENCE"), "https://notes.example.com"),
		listen:   cmp.Or(os.Getenv("LISTEN"), "localhost:"+cmp.Or(os.Getenv("PORT"), "3000")),
	}
	work := run
	if len(os.Args) > 1 && os.Args[1] == "health" {
		work = health
	}
	if err := work(s); err != nil {
		log.Fatal(err)
	}
}

// health fails unless the application responds: the check of its container, in which
// there is no other program.
func health(s settings) error {
	_, port, err := net.SplitHostPort(s.listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort("127.0.0.1", port)+"/healthz", http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func run(s settings) error {
	if s.clientID == "" {
		return errors.New("CLIENT_ID is missing: pico-auth client create --kind spa prints one")
	}
	guard, err := newGuard(s)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: s.listen, Handler: routes(s, guard), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	log.Println("open http://" + s.listen)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// newGuard accepts the tokens of the issuer for this API. Inside a container network the
// keys may come from another address of the issuer.
func newGuard(s settings) (*picoauth.Guard, error) {
	cfg := picoauth.Config{Issuer: s.issuer, Audience: s.audience}
	if s.internal != "" {
		cfg.JWKSURL = strings.TrimRight(s.internal, "/") + "/api/v1/auth/jwks"
		cfg.AllowHTTP = strings.HasPrefix(s.internal, "http://")
	}
	return picoauth.New(cfg)
}

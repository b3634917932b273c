package server_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/server"
)

// TestUsersSignInWhileOneAddressGuessesPasswords attacks with 200 connections and one HTTP/2
// connection of 250 streams: 95 % of another user's logins succeed. Without throttling
// only the hashing queue defends them.
func TestUsersSignInWhileOneAddressGuessesPasswords(t *testing.T) {
	t.Run("throttled", func(t *testing.T) { guessWhileUserSignsIn(t, true) })
	t.Run("not throttled", func(t *testing.T) { guessWhileUserSignsIn(t, false) })
}

func guessWhileUserSignsIn(t *testing.T, throttled bool) {
	dir := t.TempDir()
	s := start(t, dir, func(cfg *config.Config) {
		cfg.Throttle.Enabled = throttled
		cfg.Server.TLSCert, cfg.Server.TLSKey = server.WriteCertificate(t, dir, 1)
		cfg.Auth.BcryptCost = 8 // so that most of the work is not hashing
		cfg.Auth.Issuer = "https://localhost:8100"
	})
	s.base = strings.Replace(s.base, "http://", "https://", 1)
	const email, password = "ada@pico.example", "correct horse"
	user := httpsClient(t, "127.0.1.1", 1)
	login := func(client *http.Client, password string) int {
		return post(t, client, s.base+"/api/v1/auth/login", `{"email":"`+email+`","password":"`+password+`"}`)
	}
	if status := post(t, user, s.base+"/api/v1/auth/register", `{"email":"`+email+`","password":"`+password+`"}`); status != http.StatusOK {
		t.Fatalf("register: %d", status)
	}
	if status := login(user, password); status != http.StatusOK {
		t.Fatalf("login: %d", status)
	}

	ctx, stop := context.WithCancel(t.Context())
	var attack sync.WaitGroup
	var refused, hashed atomic.Int64
	pause := time.Second // 450 guesses a second keep the hashing queue full; without a pause the race detector of the clients takes the cores
	if os.Getenv("TEST_FULL") != "" {
		pause = 0
	}
	guess := func(client *http.Client) {
		for ctx.Err() == nil {
			switch login(client, "wrong horse") {
			case http.StatusTooManyRequests:
				refused.Add(1)
				time.Sleep(pause)
			case http.StatusUnauthorized:
				hashed.Add(1)
			case 0: // the connection was refused or closed
				time.Sleep(10 * time.Millisecond)
			default:
			}
		}
	}
	for range 200 {
		one := httpsClient(t, "127.0.0.1", 1)
		attack.Go(func() { guess(one) })
	}
	streams := httpsClient(t, "127.0.0.1", 2)
	for range 250 {
		attack.Go(func() { guess(streams) })
	}
	defer attack.Wait()
	defer stop()
	for begin := time.Now(); refused.Load() < 500; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > server.Patience {
			t.Fatalf("the attack does not fill the queue: %d hashed, %d refused", hashed.Load(), refused.Load())
		}
	}

	const attempts = 20
	succeeded := 0
	for range attempts {
		status := 0 // on a busy machine a request may end at a time limit of its connection
		for begin := time.Now(); status == 0 && time.Since(begin) < server.Patience; {
			status = login(user, password)
		}
		if status == http.StatusOK {
			succeeded++
		}
	}
	t.Logf("of the user %d of %d succeeded; of the attack %d hashed, %d refused", succeeded, attempts, hashed.Load(), refused.Load())
	if succeeded < attempts*95/100 {
		t.Errorf("%d of %d logins succeeded", succeeded, attempts)
	}
}

// httpsClient connects from an address of this machine, on one connection.
func httpsClient(t *testing.T, from string, major int) *http.Client {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{
		DialContext: dialer.DialContext, MaxConnsPerHost: 1,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // a certificate of this test
		Protocols:       &http.Protocols{},
	}
	transport.Protocols.SetHTTP1(major == 1)
	transport.Protocols.SetHTTP2(major == 2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: server.Patience}
}

// post returns the status, 0 when there is no response.
func post(t *testing.T, client *http.Client, url, body string) int {
	t.Helper()
	resp, err := client.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

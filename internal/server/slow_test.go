package server_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/server"
)

// trickle sends a byte every half second, without end.
type trickle struct{ stop <-chan struct{} }

func (r trickle) Read(p []byte) (int, error) {
	select {
	case <-r.stop:
		return 0, io.ErrUnexpectedEOF
	case <-time.After(500 * time.Millisecond):
		p[0] = ' '
		return 1, nil
	}
}

// A client that keeps a server waiting loses its connection or its request, over
// TLS and HTTP/2 as well.
func TestSlowClientIsCutOverTLSAndHTTP2(t *testing.T) {
	s := startTLS(t, func(*config.Config) {})
	stalled := server.Stalled(t)
	var all sync.WaitGroup
	cut := func(name string, send func() error) {
		all.Go(func() {
			start := time.Now()
			if err := send(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			// Five seconds are meant; fifteen are the limit of every request.
			if took := time.Since(start) - stalled(); took > 12*time.Second {
				t.Errorf("%s: cut after %v", name, took)
			}
		})
	}
	for name, text := range map[string]string{"no handshake": "", "half a handshake": "\x16\x03\x01\x02\x00\x01"} {
		a := attack(t, s.base, "127.0.0.1")
		a.hold(1, text)
		cut(name, func() error {
			_, _ = io.Copy(io.Discard, a.held[0]) // ends when the server closes it
			return nil
		})
	}
	client := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	for name, path := range map[string]string{"slow body over HTTP/2": "/api/v1/auth/login", "slow body that no route takes": "/docs"} {
		stop := make(chan struct{})
		t.Cleanup(func() { close(stop) })
		cut(name, func() error {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+path, trickle{stop})
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/json")
			res, err := client.Do(req)
			if err != nil {
				return nil // the stream was reset
			}
			defer res.Body.Close()
			if res.ProtoMajor != 2 || res.StatusCode < 400 {
				t.Errorf("%s: %s %s", name, res.Proto, res.Status)
			}
			return nil
		})
	}
	all.Wait()
	if status, _, _ := attack(t, s.base, "127.0.0.1").ask("GET", "/docs"); status != http.StatusOK {
		t.Errorf("afterwards: %d", status)
	}
	if log := s.log.String(); strings.Contains(log, "panic") {
		t.Errorf("%s", log)
	}
}

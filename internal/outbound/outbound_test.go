package outbound_test

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/outbound"
)

// receiver is a server on loopback that counts its requests.
type receiver struct {
	*httptest.Server
	requests atomic.Int64
}

func receive(t *testing.T, encrypted bool, handler http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{}
	counted := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.requests.Add(1)
		handler(w, req)
	})
	if encrypted {
		r.Server = httptest.NewTLSServer(counted)
	} else {
		r.Server = httptest.NewServer(counted)
	}
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(r.Certificate())
	return pool
}

func noContent(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// at is the address of the receiver with another host.
func (r *receiver) at(host string) string {
	u, _ := url.Parse(r.URL)
	return u.Scheme + "://" + host + ":" + u.Port() + "/logout"
}

func TestOnlyAllowedAddressesAreReached(t *testing.T) {
	r := receive(t, true, noContent)
	for name, c := range map[string]struct {
		allow   []string
		host    string
		reached bool
	}{
		"a private address":         {nil, "127.0.0.1", false},
		"its name":                  {nil, "localhost", false},
		"mapped":                    {nil, "[::ffff:127.0.0.1]", false},
		"named address":             {[]string{"127.0.0.1"}, "127.0.0.1", true},
		"named network":             {[]string{"10.0.0.0/8", "127.0.0.0/8"}, "127.0.0.1", true},
		"another network":           {[]string{"10.0.0.0/8", "::1"}, "127.0.0.1", false},
		"named host":                {[]string{"localhost"}, "localhost", true},
		"host in capitals":          {[]string{"LocalHost."}, "localhost", true},
		"address of a named host":   {[]string{"localhost"}, "127.0.0.1", false},
		"host in a named network":   {[]string{"127.0.0.1/8", "::1/128"}, "localhost", true},
		"unspecified, this machine": {nil, "0.0.0.0", false},
		"a longer name":             {[]string{"localhost"}, "localhost.localdomain.invalid", false},
	} {
		before := r.requests.Load()
		client := outbound.New(outbound.Config{Allow: c.allow, Roots: r.roots()})
		status, err := client.PostForm(t.Context(), r.at(c.host), nil)
		if c.host == "localhost" && c.reached { // the certificate has no such name: it was dialled
			if err == nil || !strings.Contains(err.Error(), "certificate") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if reached := r.requests.Load() > before; reached != c.reached || reached != (status == http.StatusNoContent) {
			t.Errorf("%s: reached %t: %d, %v", name, reached, status, err)
		}
		if !c.reached && err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTheErrorNamesTheSetting(t *testing.T) {
	_, err := outbound.New(outbound.Config{}).PostForm(t.Context(), "https://127.0.0.1:1/secret-path", url.Values{"logout_token": {"hunter22"}})
	if err == nil || !strings.Contains(err.Error(), "outbound.allow") || strings.Contains(err.Error(), "secret-path") || strings.Contains(err.Error(), "hunter22") {
		t.Errorf("%v", err)
	}
}

func TestPlainHTTPIsForLoopbackIssuersOnly(t *testing.T) {
	r := receive(t, false, noContent)
	for name, c := range map[string]struct {
		cfg  outbound.Config
		host string
		want int
	}{
		"issuer on loopback":        {outbound.Config{Loopback: true}, "127.0.0.1", http.StatusNoContent},
		"its name":                  {outbound.Config{Loopback: true}, "localhost", http.StatusNoContent},
		"another host":              {outbound.Config{Loopback: true, Allow: []string{"app.example"}}, "app.example", 0},
		"another issuer":            {outbound.Config{}, "127.0.0.1", 0},
		"even if it is allowed":     {outbound.Config{Allow: []string{"127.0.0.1", "localhost"}}, "127.0.0.1", 0},
		"a name that looks like it": {outbound.Config{Loopback: true}, "localhost.example", 0},
	} {
		if status, err := outbound.New(c.cfg).PostForm(t.Context(), r.at(c.host), nil); status != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("%s: %d, %v", name, status, err)
		}
	}
}

func TestMalformedURLsAreRefused(t *testing.T) {
	client := outbound.New(outbound.Config{Loopback: true})
	for _, address := range []string{"", "https://", "https:opaque", "file:///etc/passwd", "gopher://localhost/", "https://u:p@127.0.0.1/", "://", "http://127.0.0.1:99999/"} {
		if status, err := client.PostForm(t.Context(), address, nil); err == nil {
			t.Errorf("%q: %d", address, status)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	target := receive(t, false, noContent)
	r := receive(t, false, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, target.URL, http.StatusTemporaryRedirect)
	})
	status, err := outbound.New(outbound.Config{Loopback: true}).PostForm(t.Context(), r.URL, url.Values{"a": {"b"}})
	if err != nil || status != http.StatusTemporaryRedirect || target.requests.Load() != 0 {
		t.Errorf("%d, %v, the target had %d requests", status, err, target.requests.Load())
	}
}

func TestTheFormArrives(t *testing.T) {
	var got, media string
	r := receive(t, false, func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		got, media = string(body), req.Header.Get("Content-Type")
	})
	status, err := outbound.New(outbound.Config{Loopback: true}).PostForm(t.Context(), r.URL, url.Values{"logout_token": {"a.b-c_d"}})
	if err != nil || status != http.StatusOK || got != "logout_token=a.b-c_d" || media != "application/x-www-form-urlencoded" {
		t.Errorf("%d, %v: %q as %s", status, err, got, media)
	}
}

func TestAnEndlessResponseEnds(t *testing.T) {
	var sent atomic.Int64
	r := receive(t, false, func(w http.ResponseWriter, req *http.Request) {
		chunk := make([]byte, 64<<10)
		for req.Context().Err() == nil && sent.Load() < 100<<20 {
			n, err := w.Write(chunk)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	begin := time.Now()
	status, err := outbound.New(outbound.Config{Loopback: true}).PostForm(t.Context(), r.URL, nil)
	if err != nil || status != http.StatusOK || time.Since(begin) > 30*time.Second {
		t.Errorf("%d, %v, after %s", status, err, time.Since(begin))
	}
	r.CloseClientConnections()
	if n := sent.Load(); n > 50<<20 {
		t.Errorf("%d bytes were sent", n)
	}
}

func TestASlowResponseIsAnError(t *testing.T) {
	if testing.Short() {
		t.Skip("takes five seconds")
	}
	release := make(chan struct{})
	r := receive(t, false, func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-release:
		case <-req.Context().Done():
		}
	})
	defer close(release)
	begin := time.Now()
	_, err := outbound.New(outbound.Config{Loopback: true}).PostForm(context.WithoutCancel(t.Context()), r.URL, nil)
	if took := time.Since(begin); err == nil || !strings.Contains(err.Error(), "5s") || took < 4*time.Second || took > 60*time.Second {
		t.Errorf("%v after %s", err, took)
	}
}

package picoauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
)

const fetchTimeout = 5 * time.Second

// keySetURL returns where to fetch from. Somebody who can write to the connection
// chooses the keys, hence https unless the caller vouches for it.
func keySetURL(cfg Config) (*url.URL, error) {
	address := cfg.JWKSURL
	if address == "" {
		address = strings.TrimRight(cfg.Issuer, "/") + keySetPath
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Fragment != "":
		return nil, errors.New("picoauth: the address of the key set is not an absolute URL")
	case u.User != nil:
		return nil, errors.New("picoauth: the address of the key set must not hold a password")
	case u.Scheme == "https", u.Scheme == "http" && (cfg.AllowHTTP || isLoopback(u.Hostname())):
	case u.Scheme == "http":
		return nil, fmt.Errorf("picoauth: the key set must be fetched over https (%s is not a loopback host); "+
			"inside a container network or a mesh that encrypts, set AllowHTTP", u.Hostname())
	default:
		return nil, errors.New("picoauth: the address of the key set must start with https://")
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// keySetClient returns a client that follows no redirect: a redirect is a way to
// make the issuer's name vouch for the keys of another host.
func keySetClient(given *http.Client) *http.Client {
	client := http.Client{Transport: &http.Transport{
		Proxy:                  proxyFor,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true, // minutes lie between two fetches, as a rule
		MaxResponseHeaderBytes: 64 << 10,
	}}
	if given != nil {
		client = *given
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// proxyFor returns the proxy that the environment names, and none for plain http:
// it would be one more that could change the keys, and outside of the network that
// AllowHTTP was set for.
func proxyFor(r *http.Request) (*url.URL, error) {
	if r.URL.Scheme == "http" {
		return nil, nil //nolint:nilnil // as http.Transport.Proxy wants it
	}
	return http.ProxyFromEnvironment(r)
}

func (r *remoteKeys) download() (map[string]*jose.PublicKey, time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := r.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = res.Body.Close() }() // read to its end or given up
	if res.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("the issuer answered %d", res.StatusCode)
	}
	// One byte more than jose accepts: a set that is too long is refused, not cut.
	body, err := io.ReadAll(io.LimitReader(res.Body, jose.MaxKeySet+1))
	if err != nil {
		return nil, 0, err
	}
	keys, err := jose.ParseJWKSet(body)
	if err != nil {
		return nil, 0, err
	}
	return keys, cacheLife(res.Header, r.ttl), nil
}

// cacheLife is how long an answer may be kept by its Cache-Control (RFC 9111
// section 5.2.2), within our bounds. Of a max-age the time is gone already that
// the answer has spent in caches on the way (section 4.2.3): a key that was
// published meanwhile signs when that is over, not later for us. An answer that
// wants no cache at all, or is older than it may be, is kept for minTTL: it
// leaves no time, and no set would mean a fetch for each token.
func cacheLife(h http.Header, unsaid time.Duration) time.Duration {
	life := unsaid
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return minTTL
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil {
				continue
			}
			life = min(time.Duration(seconds)*time.Second-ageOf(h), maxTTL)
			if life <= 0 {
				return minTTL
			}
		}
	}
	return life
}

// ageOf is for how long caches had an answer; zero: none had it, or the header is
// not understood, which is then to be ignored (RFC 9111 section 5.1).
func ageOf(h http.Header) time.Duration {
	first, _, _ := strings.Cut(h.Get("Age"), ",")
	seconds, err := strconv.ParseUint(strings.TrimSpace(first), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		seconds = math.MaxInt32 // older than anything that can be named
	case err != nil:
		return 0
	}
	return time.Duration(min(seconds, math.MaxInt32)) * time.Second
}

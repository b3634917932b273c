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

// keySetURL returns the address of the key set. An attacker who can change the
// response chooses the keys, hence https unless the caller allows http.
func keySetURL(cfg Config) (*url.URL, error) {
	return issuerURL(cfg, cfg.JWKSURL, keySetPath, "key set")
}

// issuerURL returns the address from which what is fetched: the given one, or that
// path of the issuer.
func issuerURL(cfg Config, address, path, what string) (*url.URL, error) {
	if address == "" {
		address = strings.TrimRight(cfg.Issuer, "/") + path
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Fragment != "":
		return nil, errors.New("picoauth: the address of the " + what + " is not an absolute URL")
	case u.User != nil:
		return nil, errors.New("picoauth: the address of the " + what + " must not hold a password")
	case u.Scheme == "https", u.Scheme == "http" && (cfg.AllowHTTP || isLoopback(u.Hostname())):
	case u.Scheme == "http":
		return nil, fmt.Errorf("picoauth: the %s must be fetched over https (%s is not a loopback host); "+
			"inside a container network or a mesh that encrypts, set AllowHTTP", what, u.Hostname())
	default:
		return nil, errors.New("picoauth: the address of the " + what + " must start with https://")
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// keySetClient returns a client that follows no redirect: a redirect could make the
// issuer's name vouch for the keys of another host.
func keySetClient(given *http.Client) *http.Client {
	client := http.Client{Transport: &http.Transport{
		Proxy:                  proxyFor,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true, // usually minutes pass between two fetches
		MaxResponseHeaderBytes: 64 << 10,
	}}
	if given != nil {
		client = *given
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// proxyFor returns the proxy of the environment, and none for plain http: a proxy
// could change the keys, and is outside of the network for which AllowHTTP was
// set.
func proxyFor(r *http.Request) (*url.URL, error) {
	if r.URL.Scheme == "http" {
		return nil, nil //nolint:nilnil // as http.Transport.Proxy wants it
	}
	return http.ProxyFromEnvironment(r)
}

// downloadKeys fetches the key set into next, and returns how long it may be cached.
func (r *remoteKeys) downloadKeys(ctx context.Context, before, next *remoteSet) (time.Duration, error) {
	header := http.Header{"Accept": {"application/jwk-set+json, application/json"}}
	if before != nil && before.etag != "" {
		header.Set("If-None-Match", before.etag)
	}
	// One byte more than jose accepts: a set that is too long is refused, not truncated.
	res, err := get(ctx, r.client, r.url, header, jose.MaxKeySet+1)
	if err != nil {
		return 0, err
	}
	switch {
	case res.status == http.StatusOK:
		if next.keys, err = jose.ParseJWKSet(res.body); err != nil {
			return 0, err
		}
		next.etag = res.header.Get("ETag")
	case res.status == http.StatusNotModified && before != nil && before.etag != "":
		next.keys, next.etag = before.keys, before.etag
	default:
		return 0, fmt.Errorf("the issuer responded with status %d", res.status)
	}
	return cacheLifetime(res.header, r.ttl), nil
}

type response struct {
	status int
	header http.Header
	body   []byte
}

// get returns a response with the first limit bytes of its body.
func get(ctx context.Context, client *http.Client, address string, header http.Header, limit int64) (response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return response{}, err
	}
	req.Header = header
	res, err := client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer func() { _ = res.Body.Close() }() // read to its end or abandoned
	body, err := io.ReadAll(io.LimitReader(res.Body, limit))
	return response{res.StatusCode, res.Header, body}, err
}

// cacheLifetime is how long a response may be cached by its Cache-Control (RFC 9111
// section 5.2.2), within our bounds. The time that the response was in other
// caches is subtracted from max-age (section 4.2.3): a key that was published since
// signs when max-age has passed, whatever the caches do. A response that forbids
// caching, or is older than its max-age, is cached for minTTL: otherwise each token
// would cause a fetch.
func cacheLifetime(h http.Header, unsaid time.Duration) time.Duration {
	lifetime := unsaid
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
			lifetime = min(time.Duration(seconds)*time.Second-ageOf(h), maxTTL)
			if lifetime <= 0 {
				return minTTL
			}
		}
	}
	return lifetime
}

// ageOf is how long caches had a response; zero: no cache had it, or the header is
// malformed, which is then ignored (RFC 9111 section 5.1).
func ageOf(h http.Header) time.Duration {
	first, _, _ := strings.Cut(h.Get("Age"), ",")
	seconds, err := strconv.ParseUint(strings.TrimSpace(first), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		seconds = math.MaxInt32 // longer than any max-age
	case err != nil:
		return 0
	}
	return time.Duration(min(seconds, math.MaxInt32)) * time.Second
}

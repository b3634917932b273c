package picoauth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	endedPath = "/api/v1/auth/revoked-jtis"

	defaultRevokedWithin = 15 * time.Second
	minRevokedWithin     = time.Second

	maxEndedPage  = 16 << 20
	maxEndedPages = 1000
)

// endedSource asks the issuer which sessions have ended.
type endedSource struct {
	url    *url.URL
	token  string
	within time.Duration // the largest age of the list
}

func newEndedSource(cfg Config, log *slog.Logger) (*endedSource, error) {
	if cfg.ServiceToken == "" {
		return nil, nil //nolint:nilnil // a Guard without it asks for nothing
	}
	within := cmp.Or(cfg.RevokedWithin, defaultRevokedWithin)
	if within < minRevokedWithin {
		return nil, fmt.Errorf("picoauth: RevokedWithin is %v; at least %v is possible", within, minRevokedWithin)
	}
	if strings.ContainsFunc(cfg.ServiceToken, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil, errors.New("picoauth: ServiceToken has characters that no service token has")
	}
	address, err := issuerURL(cfg, cfg.RevokedURL, endedPath, "list of ended sessions")
	if err != nil {
		return nil, err
	}
	if address.Scheme == "http" && !isLoopback(address.Hostname()) {
		log.Warn("service token sent over plain http, because AllowHTTP is set", "url", address.String())
	}
	return &endedSource{url: address, token: cfg.ServiceToken, within: within}, nil
}

// pause is the time until the next request, so that a response that takes a while
// arrives within the bound. It is random: services that started together must not ask
// together for ever.
func (s *endedSource) pause() time.Duration {
	return s.within/2 + rand.N(s.within/4) //nolint:gosec // no secret
}

// endedSessions are the sessions that ended while a token of theirs may be valid.
type endedSessions struct {
	version string
	until   map[string]time.Time // by session: when the last token of it has expired
}

// endedPage is a page of the issuer's list.
type endedPage struct {
	Sessions []struct {
		ID    string    `json:"sid"`
		Until time.Time `json:"until"`
	} `json:"sessions"`
	Version string `json:"version"` // for since, of the next request
	Next    bool   `json:"next"`    // there is another page after version
}

var errMalformedList = errors.New("the list of ended sessions is malformed")

// download fetches what has ended since the set before, or everything the first time.
func (s *endedSource) download(ctx context.Context, client *http.Client, before *remoteSet, now time.Time) (endedSessions, error) {
	var list endedSessions
	if before != nil {
		list.version = before.ended.version
		list.until = maps.Clone(before.ended.until)
		maps.DeleteFunc(list.until, func(_ string, until time.Time) bool { return now.After(until.Add(maxLeeway)) })
	}
	if list.until == nil {
		list.until = map[string]time.Time{}
	}
	for range maxEndedPages {
		page, err := s.page(ctx, client, list.version)
		if err != nil {
			return endedSessions{}, err
		}
		for _, session := range page.Sessions {
			if session.ID == "" || session.Until.IsZero() {
				return endedSessions{}, errMalformedList
			}
			list.until[session.ID] = session.Until
		}
		list.version = page.Version
		if !page.Next {
			return list, nil
		}
	}
	return endedSessions{}, errors.New("the list of ended sessions does not end")
}

func (s *endedSource) page(ctx context.Context, client *http.Client, since string) (page endedPage, err error) {
	address := *s.url
	query := address.Query()
	query.Set("format", "sessions")
	if since != "" {
		query.Set("since", since)
	}
	address.RawQuery = query.Encode()
	header := http.Header{"Accept": {"application/json"}, "Authorization": {"Bearer " + s.token}}
	res, body, err := get(ctx, client, address.String(), header, maxEndedPage)
	switch {
	case err != nil:
		return page, err
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		return page, fmt.Errorf("the issuer refused the service token with status %d", res.StatusCode)
	case res.StatusCode != http.StatusOK:
		return page, fmt.Errorf("the issuer responded with status %d to the request for ended sessions", res.StatusCode)
	}
	if err := json.Unmarshal(body, &page); err != nil || page.Version == "" {
		return page, errMalformedList
	}
	return page, nil
}

// ended implements keySource.
func (r *remoteKeys) ended(session string) bool {
	set := r.current.Load()
	if set == nil || session == "" {
		return false
	}
	_, ended := set.ended.until[session]
	return ended
}

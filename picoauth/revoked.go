package picoauth

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	revokedPath = "/api/v1/auth/revoked-jtis"

	defaultRevokedWithin = 15 * time.Second
	minRevokedWithin     = time.Second

	maxRevokedList = 64 << 20
)

// revocationSource asks the issuer which tokens were revoked.
type revocationSource struct {
	url    *url.URL
	token  string
	within time.Duration // the largest age of the list
}

func newRevocationSource(cfg Config, log *slog.Logger) (*revocationSource, error) {
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
	address, err := issuerURL(cfg, cfg.RevokedURL, revokedPath, "list of revoked tokens")
	if err != nil {
		return nil, err
	}
	if address.Scheme == "http" && !isLoopback(address.Hostname()) {
		log.Warn("service token sent over plain http, because AllowHTTP is set", "url", address.String())
	}
	return &revocationSource{url: address, token: cfg.ServiceToken, within: within}, nil
}

// pause is the time until the next request, so that a response that takes a while
// arrives within the bound. It is random: services that started together must not ask
// together for ever.
func (s *revocationSource) pause() time.Duration {
	jitter, err := rand.Int(rand.Reader, big.NewInt(int64(s.within/4)))
	if err != nil {
		return s.within / 2 // crypto/rand does not fail
	}
	return s.within/2 + time.Duration(jitter.Int64())
}

// revocations are the sessions and the single tokens that were revoked while a token
// of theirs may be valid.
type revocations struct {
	since            string               // of the next request; empty: everything
	etag             string               // of the last response
	sessions, tokens map[string]time.Time // by sid and by jti: until when to keep the entry
}

func (r revocations) has(who *SecurityContext) bool {
	_, session := r.sessions[who.SessionID]
	_, token := r.tokens[who.TokenID]
	return session || token
}

// revokedList is the response of the issuer: what was revoked since the last one.
type revokedList struct {
	Sessions []struct {
		ID    string `json:"sid"`
		Until int64  `json:"until"` // NumericDate
	} `json:"sessions"`
	Tokens []struct {
		ID    string `json:"jti"`
		Until int64  `json:"until"`
	} `json:"tokens"`
	Next string `json:"next"` // since of the next request
}

var errMalformedList = errors.New("the list of revoked tokens is malformed")

// download fetches what was revoked since the set before, or everything the first time.
func (s *revocationSource) download(ctx context.Context, client *http.Client, before *remoteSet, now time.Time) (next revocations, err error) {
	if before != nil {
		next = before.revoked
	}
	list, err := s.list(ctx, client, &next)
	if err != nil {
		return revocations{}, err
	}
	next.sessions, next.tokens = unexpired(next.sessions, now), unexpired(next.tokens, now)
	for _, session := range list.Sessions { // again for each further token of it, which may expire earlier
		if until := time.Unix(session.Until, 0); until.After(next.sessions[session.ID]) {
			next.sessions[session.ID] = until
		}
	}
	for _, token := range list.Tokens {
		next.tokens[token.ID] = time.Unix(token.Until, 0)
	}
	return next, nil
}

// unexpired copies the entries that are still needed: others read the map.
func unexpired(entries map[string]time.Time, now time.Time) map[string]time.Time {
	kept := make(map[string]time.Time, len(entries))
	for id, until := range entries {
		if now.Before(until.Add(maxLeeway)) {
			kept[id] = until
		}
	}
	return kept
}

// list returns what was revoked since the last response, whose state is at.
func (s *revocationSource) list(ctx context.Context, client *http.Client, at *revocations) (list revokedList, err error) {
	address := *s.url
	query := address.Query()
	query.Set("format", "sessions")
	header := http.Header{"Accept": {"application/json"}, "Authorization": {"Bearer " + s.token}}
	if at.since != "" {
		query.Set("since", at.since)
	}
	if at.etag != "" {
		header.Set("If-None-Match", at.etag)
	}
	address.RawQuery = query.Encode()
	res, err := get(ctx, client, address.String(), header, maxRevokedList)
	switch {
	case err != nil:
		return list, err
	case res.status == http.StatusNotModified && at.etag != "":
		return list, nil
	case res.status == http.StatusUnauthorized || res.status == http.StatusForbidden:
		return list, fmt.Errorf("the issuer refused the service token with status %d", res.status)
	case res.status != http.StatusOK:
		return list, fmt.Errorf("the issuer responded with status %d to the request for revoked tokens", res.status)
	}
	if err := json.Unmarshal(res.body, &list); err != nil || list.Next == "" || list.Sessions == nil || list.Tokens == nil {
		return list, errMalformedList
	}
	at.since, at.etag = list.Next, res.header.Get("ETag")
	return list, nil
}

// revoked implements keySource.
func (r *remoteKeys) revoked(who *SecurityContext) bool {
	set := r.current.Load()
	return set != nil && set.revoked.has(who)
}

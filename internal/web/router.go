package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/trace"
)

// requestIDLimit is the length of the longest request ID that is accepted from a proxy.
const requestIDLimit = 64

// Config is what New needs. Issuer and Groups are required.
type Config struct {
	Issuer      string  // the routes are under its path; only pages of its origin may use a cookie
	Groups      []Group // exactly one is without a prefix
	CORSOrigins []string
	Proxies     Proxies

	// KnownHostsOnly reports whether only the host of the issuer, localhost and
	// loopback addresses are served now. It is called for requests to other hosts;
	// nil: every host is served.
	KnownHostsOnly func(context.Context) bool

	// Admit returns why a request is refused whatever its route demands, or nil. It
	// is not called for routes that are always served. Nil: none is refused.
	Admit func(*http.Request) error

	Log     *slog.Logger                                       // nil: discard
	Observe func(route string, status int, took time.Duration) // called at the end of each request; may be nil
	Now     func() time.Time                                   // nil: time.Now
}

// Router processes every request: client address and request ID, the rules of its
// route, one log record, one observation, and the recovery from a panic.
type Router struct {
	mux         *http.ServeMux
	routes      map[string]mounted // by pattern, as ServeMux knows it
	groups      []Group            // longest prefix first
	base        string             // path of the issuer
	firsts      map[string]bool    // first segments of the routes under it
	crossOrigin *http.CrossOriginProtection
	cors        cors
	proxies     Proxies
	refusals    refusals
	unlisted    unlisted
	issuerHost  string
	log         *slog.Logger
	observe     func(route string, status int, took time.Duration)
	now         func() time.Time
	intake      intake

	issuerOrigin string

	knownHostsOnly func(context.Context) bool // nil: never
	admitted       func(*http.Request) error  // nil: all are
}

// ParseIssuer parses the URL of the issuer. Its error says why nothing can be served under
// its path.
func ParseIssuer(text string) (*url.URL, error) {
	issuer, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if !isPlain(issuer) {
		return nil, fmt.Errorf("the path of %s has an escape that is not needed; write the character itself", text)
	}
	if base := BasePath(text); base != "" && path.Clean(base) != base {
		return nil, fmt.Errorf("the path of %s has an empty segment, . or .., below which nothing is served", text)
	}
	return issuer, nil
}

// New returns a Router of the groups' routes. It panics if a route does not declare
// its access rule and credential.
func New(cfg Config) (*Router, error) {
	issuer, err := ParseIssuer(cfg.Issuer)
	if err != nil {
		return nil, err
	}
	rt := &Router{
		mux: http.NewServeMux(), routes: map[string]mounted{}, groups: slices.Clone(cfg.Groups),
		base: BasePath(cfg.Issuer), firsts: map[string]bool{}, crossOrigin: http.NewCrossOriginProtection(),
		cors: cors{origins: cfg.CORSOrigins}, proxies: cfg.Proxies,
		issuerHost: hostOf(issuer.Host), issuerOrigin: issuer.Scheme + "://" + issuer.Host, knownHostsOnly: cfg.KnownHostsOnly, admitted: cfg.Admit,
		log: cfg.Log, observe: cfg.Observe, now: cfg.Now, intake: intake{networks: map[string]int64{}},
	}
	if err := rt.crossOrigin.AddTrustedOrigin(rt.issuerOrigin); err != nil {
		return nil, fmt.Errorf("%s is not an issuer: %w", cfg.Issuer, err)
	}
	if rt.log == nil {
		rt.log = slog.New(slog.DiscardHandler)
	}
	if rt.observe == nil {
		rt.observe = func(string, int, time.Duration) {}
	}
	if rt.now == nil {
		rt.now = time.Now
	}
	slices.SortStableFunc(rt.groups, func(a, b Group) int { return cmp.Compare(len(b.Prefix), len(a.Prefix)) })
	if n := len(rt.groups); n == 0 || rt.groups[n-1].Prefix != "" {
		panic("web: no group without a prefix")
	}
	for i := range rt.groups {
		rt.mount(&rt.groups[i])
	}
	rt.mux.HandleFunc("/", rt.fallback)
	return rt, nil
}

func (rt *Router) mount(g *Group) {
	for i := range g.Routes {
		m := mounted{&g.Routes[i], g}
		m.check()
		pattern := m.Method + " " + m.Pattern
		rt.routes[pattern] = m
		if !m.RootOnly {
			rt.firsts[strings.TrimSuffix(firstSegment(m.Pattern), "{$}")] = true
		}
		rt.mux.Handle(pattern, rt.guard(m))
	}
}

// ServeHTTP implements http.Handler.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := rt.now()
	client := rt.proxies.client(r)
	facts := Facts{
		Address: addressText(client), Network: networkText(client), UnknownProxy: rt.proxies.unknownProxy(r),
		UserAgent: r.UserAgent(), RequestID: rt.requestID(r),
	}
	w.Header().Set("X-Request-Id", facts.RequestID)
	rec := &recorder{ResponseWriter: w, refusals: &rt.refusals}
	facts.refusal = &rec.refusal
	ctx := r.Context()
	if parents := r.Header["Traceparent"]; parents != nil {
		ctx = trace.With(ctx, trace.Parse(parents, r.Header["Tracestate"]))
	}
	r = r.WithContext(WithFacts(ctx, facts))
	rec.request = r
	defer func() {
		if p := recover(); p != nil {
			rt.recovered(rec, r, p)
		}
		rt.done(rec, r, rt.now().Sub(start))
	}()
	if r.ContentLength != 0 {
		hurry(w)
	}
	rt.dispatch(rec, r)
	if r.Header["Origin"] != nil {
		if m, found := rt.routes[r.Pattern]; found {
			rt.noteOrigin(rec.Header(), r, m)
		}
	}
}

// dispatch passes the request to its route. It may change r, which is a copy.
func (rt *Router) dispatch(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	setSecurityHeaders(h)
	rt.cors.setHeaders(h, r)
	clean := isClean(r)
	if clean {
		rt.strip(r)
	}
	if !clean || r.Method == http.MethodConnect {
		// ServeMux would redirect, or treat it by other rules.
		rt.fallback(w, r)
		return
	}
	rt.mux.ServeHTTP(w, r)
}

// requestID is the ID that a trusted proxy gave the request, else a new one.
func (rt *Router) requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); id != "" && rt.proxies.trustsPeer(r, PeerAddress(r)) && plainID(id) {
		return id
	}
	return rand.Text()
}

func plainID(id string) bool {
	if len(id) > requestIDLimit {
		return false
	}
	for _, c := range []byte(id) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func (rt *Router) recovered(w *recorder, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		w.aborted = true
		return
	}
	rt.log.ErrorContext(r.Context(), "panic",
		"request_id", FactsOf(r.Context()).RequestID, "route", route(r), "panic", p, "stack", string(debug.Stack()))
	if w.status != 0 {
		// The response has begun: the connection must be closed, so that the client notices.
		w.aborted = true
		return
	}
	setSecurityHeaders(w.Header())
	rt.groupOf(r).Refuse(w, r, errPanic)
}

package server

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/httpapi"
	"github.com/pico-auth/pico-auth/internal/web"
)

// patience is for how long the requests to a server that is starting wait for it. A usual
// start takes milliseconds, which clients should not notice; of a start that turns out to
// be long they are told at once.
const patience = 5 * time.Second

var errStarting = &web.Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "the server is starting; please try again"}

// entrance is the handler of a listener from its first connection on: of the server that
// is starting until open is called, then of the server.
type entrance struct {
	starting http.Handler
	server   atomic.Pointer[http.Handler]
	opened   chan struct{}
	slow     chan struct{} // closed when no request waits any more
	slowly   sync.Once
	timer    *time.Timer
}

func newEntrance(starting http.Handler) *entrance {
	e := &entrance{starting: starting, opened: make(chan struct{}), slow: make(chan struct{})}
	e.timer = time.AfterFunc(patience, e.delay)
	return e
}

// delay tells requests at once that the server is starting, instead of letting them wait.
func (e *entrance) delay() { e.slowly.Do(func() { close(e.slow) }) }

// open lets all requests in. It is called once.
func (e *entrance) open(server http.Handler) {
	e.timer.Stop()
	e.server.Store(&server)
	close(e.opened)
}

// ServeHTTP implements http.Handler.
func (e *entrance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if server := e.server.Load(); server != nil {
		(*server).ServeHTTP(w, r)
		return
	}
	if r.URL.Path != "/livez" && r.URL.Path != "/readyz" {
		select {
		case <-e.opened:
			(*e.server.Load()).ServeHTTP(w, r)
			return
		case <-e.slow:
		case <-r.Context().Done():
		}
	}
	e.starting.ServeHTTP(w, r)
}

// accept begins to serve the connections of the listeners.
func (s *Server) accept() error {
	starting, err := s.startingRouter()
	if err != nil {
		return err
	}
	s.front = newEntrance(starting)
	s.http = s.newHTTP(s.gate, s.front)
	s.failed = make(chan error, 2)
	go func() { s.failed <- s.http.Serve(s.listener) }()
	if s.scrape != nil {
		s.aside = newEntrance(http.HandlerFunc(notStarted))
		s.metrics = s.newHTTP(s.scrape, s.aside)
		go func() { s.failed <- s.metrics.Serve(s.scrape) }()
	}
	return nil
}

// delay is called when the start takes long.
func (s *Server) delay() {
	for _, e := range []*entrance{s.front, s.aside} {
		if e != nil {
			e.delay()
		}
	}
}

// startingRouter serves while the server starts: it is live and not ready, and refuses
// everything else.
func (s *Server) startingRouter() (http.Handler, error) {
	router, err := web.New(web.Config{
		Issuer: s.cfg.Config.Auth.Issuer,
		Groups: []web.Group{{
			Routes: []web.Route{
				always("/livez", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok") }),
				always("/readyz", notStarted),
			},
			Refuse: httpapi.Refuse,
		}},
		CORSOrigins: s.cfg.Config.Server.CORSOrigins, Proxies: s.gate.proxies, Log: s.cfg.Log, Now: s.cfg.Now,
		Admit: func(*http.Request) error { return errStarting },
	})
	if err != nil {
		return nil, fmt.Errorf("auth.issuer: %w", err)
	}
	return router, nil
}

func notStarted(w http.ResponseWriter, _ *http.Request) {
	writeText(w, http.StatusServiceUnavailable, "starting")
}

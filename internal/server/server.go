package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/job"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/web"
)

// Limits of the listener. They bound what one peer can keep open; web limits the
// bodies.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	maxHeaderBytes    = 32 << 10 // an ML-DSA token has 5 to 7 KB
	maxConnections    = 4096
)

// Limits of the listener of the metrics.
const (
	maxScrapeConnections = 256
	maxScrapesPerAddress = 16
)

// The process ends within 10 s after the signal, even if the database hangs.
const (
	drainTimeout = 8 * time.Second         // for requests in flight
	stopTimeout  = 9500 * time.Millisecond // for everything
)

// Config is what New needs.
type Config struct {
	Config  config.Config
	Version string           // shown in the log, the metrics and the API page
	Log     *slog.Logger     // nil: nothing is logged
	Out     io.Writer        // where the start is announced to the operator; nil: it is not
	Stream  io.Writer        // what audit.stream calls stdout; nil: os.Stdout
	Now     func() time.Time // nil: time.Now
}

// Server is the program, built and listening. Run serves, Close releases
// everything; a Server that is not run must be closed.
type Server struct {
	cfg      Config
	services *Services
	stream   *audit.Stream
	jobs     *job.Runner
	health   *health
	http     *http.Server
	front    *entrance    // of http
	routes   http.Handler // of front, once the server has started
	metrics  *http.Server // nil: /metrics is on the API's listener
	aside    *entrance    // of metrics; nil with it
	alone    http.Handler // of aside
	failed   chan error   // of the listeners
	gate     *gate        // of http
	listener net.Listener // the gate, behind TLS if it is configured
	tls      *certificate // nil: plain HTTP
	scrape   *gate        // of metrics; nil with it
	accepted []string     // algorithms of the server's own guard; nil: all

	published *defaultPassword // nil: there was none at the start
}

// New listens, opens the services, creates the first administrator and checks the
// preconditions of a start. It listens first, so that a start whose port is in use
// creates no database and no keys, and so that a supervisor knows of a start that takes
// long: until Run only the health checks are served. Port 0 takes a free port; see Addr.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Log = slog.New(tracedHandler{cfg.Log.Handler()})
	if cfg.Out == nil {
		cfg.Out = io.Discard
	}
	if cfg.Stream == nil {
		cfg.Stream = os.Stdout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) prepare(ctx context.Context) (err error) {
	ln, err := inherit(&s.cfg.Config.Server)
	if err != nil {
		return err
	}
	if err := Check(s.cfg.Config); err != nil {
		return err // what systemd has opened stays open there
	}
	if err := s.listen(ctx, ln); err != nil {
		return err
	}
	if err := s.listenMetrics(ctx); err != nil {
		return err
	}
	if err := s.accept(); err != nil {
		return err
	}
	if s.stream, err = audit.OpenStream(s.cfg.Config.Audit.Stream, s.cfg.Stream, s.cfg.Log); err != nil {
		return err
	}
	needMaster := func(st *store.Store) (*seal.Master, error) { return needMaster(ctx, s.cfg.Config, st, s.cfg.Log) }
	database := StoreConfig(s.cfg.Config, s.cfg.Log)
	database.Wait, database.Delayed = s.cfg.Config.Database.Wait, s.delay
	if s.services, err = openServices(ctx, s.cfg.Config, database, s.stream, needMaster); err != nil {
		return err
	}
	if s.services.Store.Adopted() != nil {
		for _, r := range s.cfg.Config.Replaced() {
			s.cfg.Log.Warn("configuration: " + r.Warning())
		}
	}
	s.health = &health{ping: s.services.Store.Ping, sign: s.services.Keys.Ready, keep: readyFor}
	published, err := s.firstAdmin(ctx)
	if err != nil {
		return err
	}
	if err := s.registrationOrg(ctx); err != nil {
		return err
	}
	if err := s.services.DeclareClients(ctx, s.cfg.Config, s.cfg.Log); err != nil {
		return err
	}
	if published != "" {
		s.published = &defaultPassword{find: s.services.Store.DefaultPasswordAdmin, exists: true}
	}
	s.accepted = s.acceptedAlgorithms()
	s.jobs = s.newJobs()
	if s.routes, err = s.handler(); err != nil {
		return err
	}
	s.announce(published)
	return nil
}

// apiVersion is what the API page shows: fastapi.version, else the build's.
func (s *Server) apiVersion() string {
	if v := s.cfg.Config.FastAPI.Version; v != "" {
		return v
	}
	return s.cfg.Version
}

func (s *Server) newHTTP(g *gate, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           g.wrap(web.Unambiguous(h)),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       -1, // see conn.expire
		MaxHeaderBytes:    maxHeaderBytes,
		// One connection takes few streams and little for bodies that no handler has read.
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 100, MaxReceiveBufferPerConnection: 128 << 10, MaxReceiveBufferPerStream: 64 << 10,
			WriteByteTimeout: 10 * time.Second,
		},
		ConnState:   g.changed,
		ConnContext: g.remember,
		ErrorLog:    connectionFaults(s.cfg.Log),

		DisableGeneralOptionsHandler: true, // it would bypass the handler
	}
}

// Run serves until ctx ends, then drains: it becomes unready, accepts no new
// connection, lets requests in flight finish for drainTimeout, and closes
// everything. It returns nil after a drain, even if it cancelled requests or could
// not close a database that does not respond.
func (s *Server) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var tasks sync.WaitGroup
	tasks.Go(func() {
		s.jobs.Run(background)
		s.releaseKeys(context.WithoutCancel(background))
	})
	s.front.open(s.routes)
	if s.aside != nil {
		s.aside.open(s.alone)
	}
	s.notify(daemon.SdNotifyReady)
	var err error
	var late <-chan time.Time
	select {
	case <-ctx.Done():
		late = time.After(stopTimeout)
		s.drain(context.WithoutCancel(ctx))
	case err = <-s.failed:
	}
	stop()
	closed := make(chan error, 1)
	go func() {
		tasks.Wait()
		s.linkLast(context.WithoutCancel(ctx))
		closed <- s.Close()
	}()
	select {
	case closing := <-closed:
		return errors.Join(err, closing)
	case <-late:
		s.cfg.Log.Error("database close timed out; every acknowledged change is stored")
		return err
	}
}

func (s *Server) drain(ctx context.Context) {
	s.health.draining.Store(true)
	s.cfg.Log.Info("draining")
	s.notify(daemon.SdNotifyStopping)
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.cfg.Log.Warn("requests cancelled after the drain timeout", "error", err)
	}
}

// Close releases listeners, keys and database without waiting for requests.
func (s *Server) Close() error {
	defer s.stream.Close()
	s.delay() // no request waits for a start that has failed
	for _, h := range []*http.Server{s.http, s.metrics} {
		if h != nil {
			_ = h.Close()
		}
	}
	for _, g := range []*gate{s.gate, s.scrape} {
		if g != nil {
			_ = g.Close()
		}
	}
	if s.services == nil {
		return nil
	}
	return s.services.Close()
}

// TuneScheduler lets the Go scheduler run more threads than there are cores, so
// that requests get CPU time while every core is hashing: Go's time slice is
// 10 ms, the kernel's is shorter. It is for the start of the program.
func TuneScheduler() { runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0)) }

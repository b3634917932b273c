package server

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pico-auth/pico-auth/internal/job"
	"github.com/pico-auth/pico-auth/internal/web"
)

// metrics is the content of /metrics. Requests are observed as they end; the
// counters of the other packages are read when /metrics is requested.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	log      *slog.Logger
}

// newMetrics returns the metrics without those of the services; see watch.
func newMetrics(version string, started time.Time, log *slog.Logger) *metrics {
	m := &metrics{
		log:      log,
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pico_auth_http_requests_total", Help: "Requests served, by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pico_auth_http_request_duration_seconds", Help: "Time from the headers of the request to the end of the response.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pico_auth_build_info", Help: "Always 1; the version is in the label.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	start := prometheus.NewGauge(prometheus.GaugeOpts{
		// That of the process needs /proc/stat, which a hardened unit hides.
		Name: "pico_auth_start_time_seconds", Help: "Time of the start of this server.",
	})
	start.Set(float64(started.UnixMilli()) / 1000)
	m.registry.MustRegister(m.requests, m.seconds, build, start,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch adds the counters of the services and the jobs.
func (m *metrics) watch(services *Services, jobs *job.Runner) {
	m.registry.MustRegister(&serviceCollector{services, jobs})
}

func (m *metrics) observe(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// maxScrapes is how many requests may read the metrics at once; each formats all.
const maxScrapes = 4

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes,
		ErrorLog:            slog.NewLogLogger(m.log.Handler(), slog.LevelError),
	})
}

// alone serves /metrics on a listener of its own, and nothing else.
func (m *metrics) alone() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.handler())
	return mux
}

// local serves next to clients on this machine only. A request that a proxy
// marks as forwarded is not local, even if the proxy runs on this machine; a
// proxy without such a mark must refuse the path itself. An empty header counts
// as well: a client may send an empty one in front of the proxy's.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isForwarded(r.Header) || !web.PeerAddress(r).IsLoopback() {
			writeText(w, http.StatusNotFound, "not found")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isForwarded reports whether a proxy has marked the request with a header of
// RFC 7239 or RFC 9110, or with one of those that proxies and content delivery
// networks use instead.
func isForwarded(h http.Header) bool {
	for name := range h {
		switch name {
		case "Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip":
			return true
		}
		if strings.HasPrefix(name, "X-Forwarded") {
			return true
		}
	}
	return false
}

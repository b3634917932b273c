package server

import (
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/config"
)

// WriteCertificate puts a self-signed pair for localhost into a folder.
var WriteCertificate = writeCertificate

// Period is that of a job of a server with cfg, 0 when it has no such job.
func Period(t *testing.T, cfg config.Config, name string) time.Duration {
	t.Helper()
	s, err := New(t.Context(), Config{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, j := range s.work() {
		if j.Name == name {
			return j.Every
		}
	}
	return 0
}

// Opened is closed when Run serves the API and is ready: until then other requests than
// those of probes wait.
func (s *Server) Opened() <-chan struct{} { return s.front.opened }

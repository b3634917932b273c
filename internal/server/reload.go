package server

import (
	"context"
	"slices"

	"github.com/pico-auth/pico-auth/internal/config"
)

// Reload takes over what may change while the server runs, from a configuration that
// was loaded again. What cannot be taken over is logged, and the server runs on as it
// was.
func (s *Server) Reload(ctx context.Context, next config.Config) {
	reloadable := []string{"log.level"} // which the Logger has taken over
	files := s.tls != nil && s.tls.renew == nil && next.Server.TLSCert != ""
	if files {
		reloadable = append(reloadable, "server.tls_cert", "server.tls_key")
	}
	var restart []string
	before := s.cfg.Config.Settings()
	for i, now := range next.Settings() {
		if !same(before[i].Value, now.Value) && !slices.Contains(reloadable, now.Key) {
			restart = append(restart, now.Key)
		}
	}
	if len(restart) > 0 {
		s.cfg.Log.Warn("changed settings take effect at the next start", "settings", restart)
	}
	complete := true
	if files {
		if err := s.tls.use(next.Server.TLSCert, next.Server.TLSKey); err != nil {
			s.cfg.Log.Error("reloading the TLS certificate failed; the previous one is used", "error", err)
			complete = false
		}
	}
	running := s.cfg.Config
	running.Clients = next.Clients
	if err := s.services.DeclareClients(ctx, running, s.cfg.Log); err != nil {
		s.cfg.Log.Error("reloading clients failed; they stay as they were", "error", err)
		complete = false
	}
	if complete {
		s.cfg.Log.Info("configuration reloaded")
	}
}

// same compares values of a Setting, which are lists or scalars.
func same(a, b any) bool {
	list, isList := a.([]string)
	if !isList {
		return a == b
	}
	other, _ := b.([]string)
	return slices.Equal(list, other)
}

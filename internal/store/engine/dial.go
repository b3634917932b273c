package engine

import (
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// silentPeer is how long the machine of a server may acknowledge nothing before its
	// connections end: one that lost its power sends no error. A busy server
	// acknowledges, since its kernel does.
	silentPeer = 5 * time.Second

	// connectTimeoutEach is connectTimeout where there are several hosts to try.
	connectTimeoutEach = 2 * time.Second
)

// setDialing makes connections notice that the machine of the server is dead.
func setDialing(cfg *pgx.ConnConfig) {
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
		if hasSeveralHosts(cfg) {
			cfg.ConnectTimeout = connectTimeoutEach
		}
	}
	dialer := net.Dialer{
		Timeout:         cfg.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3},
		Control:         endWithSilentPeer,
	}
	cfg.DialFunc = dialer.DialContext
}

// hasSeveralHosts reports whether there is a choice of servers. One server has several
// entries, too: with and without encryption.
func hasSeveralHosts(cfg *pgx.ConnConfig) bool {
	for _, f := range cfg.Fallbacks {
		if f.Host != cfg.Host || f.Port != cfg.Port {
			return true
		}
	}
	return false
}

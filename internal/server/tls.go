package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// certificateCheck is the period in which the files of a certificate are checked.
const certificateCheck = 30 * time.Second

// certificate serves a key pair from files and loads a renewed one without a
// restart. A broken renewal is logged and the previous pair kept.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu      sync.Mutex
	pair    *tls.Certificate
	loaded  [2]time.Time // modification times of the files
	checked time.Time
}

func loadCertificate(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, now: now}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("server.tls_cert and server.tls_key: %w", err)
	}
	return c, nil
}

func (c *certificate) load() error {
	written, err := c.written()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair, c.loaded, c.checked = &pair, written, c.now()
	return nil
}

func (c *certificate) written() (times [2]time.Time, err error) {
	for i, f := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(f)
		if err != nil {
			return times, err
		}
		times[i] = info.ModTime()
	}
	return times, nil
}

// get is tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Sub(c.checked) < certificateCheck {
		return c.pair, nil
	}
	c.checked = c.now()
	written, err := c.written()
	if err == nil && written != c.loaded {
		if err = c.load(); err == nil {
			c.log.Info("TLS certificate reloaded", "file", c.certFile)
		}
	}
	if err != nil {
		c.log.Error("reloading the TLS certificate failed; the previous one is used", "error", err)
	}
	return c.pair, nil
}

// config is of the connections that g accepts.
func (c *certificate) config(g *gate) *tls.Config {
	plain := &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	both := plain.Clone()
	both.NextProtos = []string{"h2", "http/1.1"}
	both.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		under := connOf(hello.Conn)
		if under == nil || !slices.Contains(hello.SupportedProtos, "h2") || g.offerHTTP2(under) {
			return nil, nil // both
		}
		return plain, nil
	}
	return both
}

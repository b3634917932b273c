package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/datadir"
)

// certificateCheck is the period in which the files of a certificate are checked.
const certificateCheck = 30 * time.Second

// certificate serves a key pair from files and loads a renewed one without a
// restart. A broken renewal is logged and the previous pair kept.
type certificate struct {
	renew func(context.Context) error // of a self-signed certificate; nil: an operator renews it
	log   *slog.Logger
	now   func() time.Time

	mu                sync.Mutex
	certFile, keyFile string
	pair              *tls.Certificate
	loaded            [2]time.Time // modification times of the files
	checked           time.Time
}

func loadCertificate(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*certificate, error) {
	c := &certificate{log: log, now: now}
	if err := c.use(certFile, keyFile); err != nil {
		return nil, err
	}
	return c, nil
}

// certificate returns that of the configuration, nil when the server speaks plain HTTP.
func (s *Server) certificate(ctx context.Context) (*certificate, error) {
	c := s.cfg.Config.Server
	switch {
	case c.TLSMode == config.SelfSigned:
		own := &selfSigned{folder: datadir.New(s.cfg.Config.Auth.DataDir, s.cfg.Log), log: s.cfg.Log, now: s.cfg.Now}
		if err := own.renew(ctx); err != nil {
			return nil, fmt.Errorf("server.tls: %w", err)
		}
		file := own.folder.Join(selfSignedFile)
		made, err := loadCertificate(file, file, s.cfg.Log, s.cfg.Now)
		if err != nil {
			return nil, err
		}
		made.renew = own.renew
		return made, nil
	case c.TLSCert != "":
		return loadCertificate(c.TLSCert, c.TLSKey, s.cfg.Log, s.cfg.Now)
	default:
		return nil, nil
	}
}

// use loads the pair now and watches its files from now on. After an error the previous
// pair stays.
func (c *certificate) use(certFile, keyFile string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	previous := [2]string{c.certFile, c.keyFile}
	c.certFile, c.keyFile = certFile, keyFile
	if err := c.load(); err != nil {
		c.certFile, c.keyFile = previous[0], previous[1]
		return fmt.Errorf("server.tls_cert and server.tls_key: %w", err)
	}
	return nil
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
	var err error
	if c.renew != nil {
		err = c.renew(context.Background()) // for all clients, whatever this one does
	}
	written, statErr := c.written()
	if err = errors.Join(err, statErr); err == nil && written != c.loaded {
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

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/server"
)

type serveCmd struct{}

// Help is the end of `pico-auth serve --help`.
func (serveCmd) Help() string {
	return `Every setting has a default: without a configuration file and variables the server listens on http://localhost:8100.
The first SIGTERM or SIGINT lets requests in flight finish, the second one stops the server at once.
SIGHUP reads the configuration again: clients, the files of TLS and log.level take effect; other settings need a restart.

Example:

    SERVER_PORT=8200 pico-auth serve --config /etc/pico-auth/application.yaml`
}

// Run serves until SIGTERM or SIGINT.
func (serveCmd) Run(sh *shell) error {
	cfg, warnings, err := sh.config()
	if err != nil {
		return err
	}
	log := server.NewLogger(sh.err, cfg.Log.Format == "text" || cfg.Log.Format == config.LogAuto && isTerminal(sh.err))
	defer log.Close()
	log.SetLevel(cfg.Log.Level)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // from now on it does not end the process
	signal.Ignore(syscall.SIGPIPE)         // who reads the log or the stream of events may end, and the server goes on
	ctx, stop := untilSignal(context.Background())
	defer stop()
	for _, w := range append(warnings, moving(ctx, cfg, false)...) {
		log.Warn("configuration: " + w)
	}
	announce := sh.out
	if cfg.Audit.Stream == "stdout" {
		announce = sh.err // standard output has events only
	}
	s, err := server.New(ctx, server.Config{Config: cfg, Version: buildVersion(), Log: log.Logger, Out: announce, Stream: sh.out})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // a signal during the start
	case err != nil:
		return misconfigured(err)
	}
	go sh.reload(ctx, hangups, s, log)
	server.TuneScheduler() // after New has read the number of cores
	server.TuneMemory()
	return s.Run(ctx)
}

// reload reads the configuration again at each hangup, until ctx ends. A faulty one is
// logged and changes nothing.
func (sh *shell) reload(ctx context.Context, hangups <-chan os.Signal, s *server.Server, log *server.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		cfg, warnings, err := sh.config()
		if err != nil {
			log.Error("reloading the configuration failed; the previous one is used", "error", err)
			continue
		}
		for _, w := range warnings {
			log.Warn("configuration: " + w)
		}
		log.SetLevel(cfg.Log.Level)
		s.Reload(ctx, cfg)
	}
}

// untilSignal returns a context that SIGINT or SIGTERM cancels; a second signal
// ends the process at once, with the exit code of a program killed by a signal.
func untilSignal(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		second := <-signals
		if number, ok := second.(syscall.Signal); ok {
			os.Exit(128 + int(number))
		}
		os.Exit(1)
	}()
	return ctx, cancel
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

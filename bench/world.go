//go:build linux

package main

import (
	"errors"

	"github.com/pico-auth/pico-auth/bench/site"
)

// target is a site with users whose program runs.
type target struct {
	*site.Site
	*site.Process
	sessions []*session
}

// open makes a site, fills it and starts the program.
func (l *lab) open(seed site.Seed, env map[string]string) (*target, error) {
	s, err := site.New(l.binary, l.dir, env)
	if err != nil {
		return nil, err
	}
	return l.openAt(s, seed)
}

func (l *lab) openAt(s *site.Site, seed site.Seed) (*target, error) {
	w := &target{Site: s}
	if err := s.Fill(l.ctx, seed); err != nil {
		return nil, errors.Join(err, w.close())
	}
	var err error
	if w.Process, err = s.Start(l.ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	for _, n := range seed.Sessions() {
		w.sessions = append(w.sessions, newSession(n))
	}
	return w, nil
}

func (w *target) close() error {
	var err error
	if w.Process != nil {
		err = w.Stop()
	}
	return errors.Join(err, w.Remove())
}

// bare starts the server with nothing behind it.
func (l *lab) bare() (*site.Process, error) { return site.Bare(l.ctx, l.dir, l.self, bareServer) }

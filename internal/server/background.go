package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/job"
)

const (
	purgeEvery = 10 * time.Minute
	purgeBatch = 500

	// purgeLease outlives the pause between two purges, so that the replica that
	// has it keeps it until it stops; another takes over when it is gone.
	purgeLease = 25 * time.Minute
)

// newJobs returns the background work of the server.
func (s *Server) newJobs() *job.Runner {
	return job.New(
		job.Config{
			TakeLease: s.rooms.Store.TakeLease, GiveLease: s.rooms.Store.GiveLease,
			Log: s.cfg.Log, Now: s.cfg.Now,
		},
		job.Job{Name: "purge", Every: purgeEvery, Lease: purgeLease, Run: s.purge},
		job.Job{Name: "signing_keys", Every: s.rooms.Keys.Pace(), Later: true, Run: s.tendKeys},
	)
}

// purge removes a batch of what has expired, so small that no request waits
// behind it.
func (s *Server) purge(ctx context.Context) (more bool, err error) {
	removed, err := s.rooms.Store.Purge(ctx, purgeBatch)
	return removed == purgeBatch, err
}

// tendKeys takes up the signing keys that another replica, or a command, changed,
// and takes the steps of their lifecycle that are due.
func (s *Server) tendKeys(ctx context.Context) (more bool, err error) {
	var failed []error
	if err := s.rooms.Keys.Refresh(ctx); err != nil {
		failed = append(failed, fmt.Errorf("look for changed signing keys: %w", err))
	}
	if err := s.acceptsItself(); err != nil {
		failed = append(failed, fmt.Errorf("this server refuses its own tokens: %w", err))
	}
	if err := s.rooms.Keys.Step(ctx); err != nil {
		failed = append(failed, fmt.Errorf("take the next step of the signing keys: %w", err))
	}
	return false, errors.Join(failed...)
}

// restKeys lets another replica count the time of the keys at once.
func (s *Server) restKeys(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.rooms.Keys.Rest(ctx); err != nil {
		s.cfg.Log.Warn("lease of the signing keys not given back; it expires by itself", "error", err)
	}
}

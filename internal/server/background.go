package server

import (
	"context"
	"crypto/rand"
	"time"
)

const (
	purgeEvery = 10 * time.Minute
	purgeBatch = 500

	// purgeLease outlives the pause between two purges, so that the replica that
	// has it keeps it until it stops; another takes over when it is gone.
	purgeLease = 25 * time.Minute
	purgeName  = "purge"

	followEvery = 2 * time.Second
)

// purge removes what has expired, in batches small enough that no request
// waits behind one. Of several replicas one does it.
func (s *Server) purge(ctx context.Context) {
	holder := rand.Text()
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		for more := true; more; {
			more = s.purgeSome(ctx, holder)
		}
		select {
		case <-ctx.Done():
			s.stopPurging(context.WithoutCancel(ctx), holder)
			return
		case <-tick.C:
		}
	}
}

// purgeSome removes one batch if this replica is the one that does; more says
// that there may be another.
func (s *Server) purgeSome(ctx context.Context, holder string) (more bool) {
	store := s.rooms.Store
	mine, err := store.TakeLease(ctx, purgeName, holder, purgeLease)
	removed := 0
	if err == nil && mine {
		removed, err = store.Purge(ctx, purgeBatch)
	}
	if err != nil && ctx.Err() == nil {
		s.cfg.Log.Warn("could not purge expired tokens", "error", err)
	}
	return err == nil && removed == purgeBatch
}

// stopPurging lets another replica begin at once.
func (s *Server) stopPurging(ctx context.Context, holder string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.rooms.Store.GiveLease(ctx, purgeName, holder); err != nil {
		s.cfg.Log.Warn("could not give the lease of the purge back; it ends by itself", "error", err)
	}
}

// followKeys takes up the signing keys that another replica, or a command,
// changed. An outage of the database is told once.
func (s *Server) followKeys(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.rooms.Keys.Refresh(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.cfg.Log.Warn("could not look for changed signing keys", "error", err)
		}
		failing = err != nil
	}
}

package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"
)

const (
	purgeEvery = 10 * time.Minute
	purgeBatch = 500

	// purgeLease outlives the pause between two purges, so that the replica that
	// has it keeps it until it stops; another takes over when it is gone.
	purgeLease = 25 * time.Minute
	purgeName  = "purge"
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

// tendKeys takes up the signing keys that another replica, or a command, changed,
// and takes the steps of their life that are due. An outage of the database is
// told once.
func (s *Server) tendKeys(ctx context.Context) {
	tick := time.NewTicker(s.rooms.Keys.Pace())
	defer tick.Stop()
	following, stepping := telling{what: "could not look for changed signing keys"}, telling{what: "could not go on with the life of the signing keys"}
	accepting := telling{what: "this server refuses its own tokens"}
	for {
		select {
		case <-ctx.Done():
			s.restKeys(context.WithoutCancel(ctx))
			return
		case <-tick.C:
		}
		following.tell(ctx, s.cfg.Log, s.rooms.Keys.Refresh(ctx))
		accepting.tell(ctx, s.cfg.Log, s.acceptsItself())
		stepping.tell(ctx, s.cfg.Log, s.rooms.Keys.Step(ctx))
	}
}

// telling logs the first of several like failures in a row.
type telling struct {
	what    string
	failing string
}

func (t *telling) tell(ctx context.Context, log *slog.Logger, err error) {
	if err == nil {
		t.failing = ""
		return
	}
	if text := err.Error(); text != t.failing && ctx.Err() == nil {
		log.Warn(t.what, "error", err)
		t.failing = text
	}
}

// restKeys lets another replica count the time of the keys at once.
func (s *Server) restKeys(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.rooms.Keys.Rest(ctx); err != nil {
		s.cfg.Log.Warn("could not give the lease of the keys back; it ends by itself", "error", err)
	}
}

package server

import (
	"context"
	"time"
)

const (
	// chainEvery is for how long an audit event has no link at the most. A crashed
	// holder of the lease is replaced after chainLease.
	chainEvery = 10 * time.Second
	chainLease = 15 * time.Second

	// chainTimeout bounds the links at a stop; the next start makes the others.
	chainTimeout = time.Second
)

// countRefusals stores the counts of refusals whose minute has passed.
func (s *Server) countRefusals(ctx context.Context) (more bool, err error) {
	s.services.Audit.Settle(ctx)
	return false, nil
}

// purgeAudit deletes a batch of the audit events that are older than the retention.
func (s *Server) purgeAudit(ctx context.Context) (more bool, err error) {
	retention := s.cfg.Config.Audit.RetentionDays
	if retention == 0 {
		return false, nil
	}
	return s.services.Chain.Purge(ctx, s.cfg.Now().Add(-days(retention)))
}

// linkLast links the events of the last requests. It needs no lease: only the
// transaction makes sure that one server links at a time.
func (s *Server) linkLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, chainTimeout)
	defer cancel()
	s.services.Audit.Close()
	for more := true; more; {
		var err error
		if more, err = s.services.Chain.Link(ctx); err != nil {
			s.cfg.Log.Warn("audit events not linked; the next start links them", "error", err)
			return
		}
	}
}

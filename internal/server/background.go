package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/internal/job"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/thread"
)

const (
	purgeEvery = 10 * time.Minute
	purgeBatch = 500

	// usesEvery is how late the last use of a service token is stored.
	usesEvery = time.Minute

	// purgeLease is longer than the period, so that the replica that holds it
	// keeps it until it stops; another one takes it after it has expired.
	purgeLease = 25 * time.Minute

	// logoutsEvery is how late clients are told that a session has ended.
	logoutsEvery = time.Second

	// expiryEvery is how late clients are told that a session has expired.
	expiryEvery = time.Minute
	expiryLease = 3 * time.Minute
	expiryBatch = 100

	// trimEvery is how long the disk space of a peak is kept.
	trimEvery = 10 * time.Second

	// verifyEvery is how long damage of a page that no request reads stays unnoticed.
	verifyEvery = 24 * time.Hour

	networksEvery = 5 * time.Minute
	networksLimit = 5_000

	completeEvery = time.Minute
	completeLease = 10 * time.Minute
	completeBatch = 200
	completePause = 20 * time.Millisecond
)

// newJobs returns what does the background work of the server.
func (s *Server) newJobs() *job.Runner {
	return job.New(job.Config{
		TakeLease: s.services.Store.TakeLease, GiveLease: s.services.Store.GiveLease,
		Log: s.cfg.Log, Now: s.cfg.Now,
	}, s.work()...)
}

func (s *Server) work() []job.Job {
	jobs := []job.Job{
		{Name: "purge", Every: purgeEvery, Lease: purgeLease, Run: s.purge},
		{Name: "database_check", Every: verifyEvery, Run: s.verify},
		{Name: "database_log", Every: trimEvery, Later: true, Run: s.trimLog},
		{Name: "known_networks", Every: networksEvery, Run: s.knowNetworks},
		{Name: "users", Every: completeEvery, Lease: completeLease, Run: s.completeUsers},
		{Name: "audit_counts", Every: chainEvery, Later: true, Run: s.countRefusals},
		{Name: store.ChainLease, Every: chainEvery, Lease: chainLease, Run: s.services.Chain.Link},
		{Name: "audit_purge", Every: purgeEvery, Lease: purgeLease, Run: s.purgeAudit},
		{Name: "expired_sessions", Every: expiryEvery, Lease: expiryLease, Run: s.endExpired},
		{Name: "logouts", Every: logoutsEvery, Run: s.services.Logouts.Step},
		{Name: "service_token_uses", Every: usesEvery, Later: true, Run: s.writeUses},
		{Name: "signing_keys", Every: s.services.Keys.Pace(), Later: true, Run: s.stepKeys},
	}
	if publicIssuer(s.cfg.Config.Auth.Issuer) {
		jobs = append(jobs, job.Job{Name: "default_password", Every: time.Hour, Run: s.warnOfDefaultPassword})
	}
	return jobs
}

// purge deletes a batch of rows that are not needed any more. The batch is small, so
// that no request waits for it.
func (s *Server) purge(ctx context.Context) (more bool, err error) {
	_, more, err = s.services.Store.Purge(ctx, accessLife(s.cfg.Config), purgeBatch)
	if err != nil || more {
		return more, err
	}
	if more, err := s.services.Authorize.Purge(ctx, purgeBatch); err != nil || more {
		return more, err
	}
	if removed, err := s.services.Store.PurgeLogouts(ctx, purgeBatch); err != nil || removed == purgeBatch {
		return true, err
	}
	removed, err := s.services.Store.PurgeThrottle(ctx, purgeBatch)
	return removed == purgeBatch, err
}

// verify examines the file of the database once after the start and once a day, which
// takes a core for seconds if it is large.
func (s *Server) verify(ctx context.Context) (more bool, err error) {
	thread.Behind(func() { err = s.services.Store.Verify(ctx) })
	return false, err
}

// trimLog gives back what the database's log took at a peak.
func (s *Server) trimLog(ctx context.Context) (more bool, err error) {
	return false, s.services.Store.TrimLog(ctx)
}

// endExpired ends sessions in browsers that have expired, since their clients are told.
func (s *Server) endExpired(ctx context.Context) (more bool, err error) {
	return s.services.Store.EndExpired(ctx, expiryBatch)
}

// knowNetworks makes networks known to the hashing queue that signed users in before
// the start, or at another replica.
func (s *Server) knowNetworks(ctx context.Context) (more bool, err error) {
	networks, err := s.services.Store.KnownNetworks(ctx, networksLimit)
	if err != nil {
		return false, fmt.Errorf("read known networks: %w", err)
	}
	for _, network := range slices.Backward(networks) {
		s.services.Passwords.SignedIn(network)
	}
	return false, nil
}

// completeUsers completes the users that a process of the previous release stored
// during a rolling upgrade, and those from before the upgrade. Between two batches
// others write.
func (s *Server) completeUsers(ctx context.Context) (more bool, err error) {
	for after := ""; ; {
		after, err = s.services.Store.CompleteUsers(ctx, after, completeBatch)
		if err != nil || after == "" {
			return false, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(completePause):
		}
	}
}

// writeUses stores when service tokens were used last.
func (s *Server) writeUses(ctx context.Context) (more bool, err error) {
	return false, s.services.Tokens.WriteUses(ctx)
}

// stepKeys loads the signing keys that another replica or a command has changed,
// and performs the steps of their lifecycle that are due.
func (s *Server) stepKeys(ctx context.Context) (more bool, err error) {
	var failed []error
	if err := s.services.Keys.Refresh(ctx); err != nil {
		failed = append(failed, fmt.Errorf("load changed signing keys: %w", err))
	}
	if err := s.acceptsItself(); err != nil {
		failed = append(failed, fmt.Errorf("this server refuses its own tokens: %w", err))
	}
	if err := s.services.Keys.Step(ctx); err != nil {
		failed = append(failed, fmt.Errorf("step the lifecycle of the signing keys: %w", err))
	}
	return false, errors.Join(failed...)
}

// releaseKeys gives the lease of the signing keys back, so that another replica
// can take it at once.
func (s *Server) releaseKeys(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.services.Keys.Rest(ctx); err != nil {
		s.cfg.Log.Warn("signing key lease not released; it expires by itself", "error", err)
	}
}

package store

import (
	"context"
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

const (
	// delayedAfter is when Open takes long.
	delayedAfter = time.Second
	// delayedEvery is how often the log says so.
	delayedEvery = 10 * time.Second
	// unansweredEvery is how often the log says that a server does not answer.
	unansweredEvery = 5 * time.Second
	// answerPause is the time between two attempts to reach it.
	answerPause = 500 * time.Millisecond
)

const (
	waitingForMigration  = "waiting for the migration of the database by another process"
	waitingForConnection = "waiting for a second connection to the database, beside the one that excludes other migrations; a connection pooler needs a pool of 2 or more (default_pool_size)"
)

// delayed says in the log what Open does, once that has taken long and regularly from
// then on, until done is called.
func (s *Store) delayed(cfg Config, what string, attributes ...any) (done func()) {
	stop := make(chan struct{})
	go func() {
		began, timer := time.Now(), time.NewTimer(delayedAfter)
		defer timer.Stop()
		for {
			select {
			case <-stop:
				return
			case <-timer.C:
			}
			cfg.Delayed()
			s.log.Warn(what, append(attributes, "since", time.Since(began).Round(time.Second).String())...)
			timer.Reset(delayedEvery)
		}
	}()
	return sync.OnceFunc(func() { close(stop) })
}

// untilItAnswers repeats prepare, which does not mind that, for cfg.Wait at the most while
// the server may answer soon.
func (s *Store) untilItAnswers(ctx context.Context, cfg Config, prepare func() error) error {
	began := time.Now()
	var said time.Time
	for {
		err := prepare()
		if !engine.IsPassing(err) || time.Since(began)+answerPause > cfg.Wait {
			return err
		}
		cfg.Delayed()
		if time.Since(said) >= unansweredEvery {
			said = time.Now()
			s.log.Warn("waiting for the database", "reason", s.target.Explain(err), "at_most", (cfg.Wait - time.Since(began)).Round(time.Second).String())
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(answerPause):
		}
	}
}

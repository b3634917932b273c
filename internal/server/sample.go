package server

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// The records that pass in one second. Further ones are counted.
const (
	passPerKind    = 100  // of one kind from one client
	passPerMessage = 1000 // of one message
	maxKinds       = 1024 // that are told apart; further ones share one per message, and after as many again one per level
	samplePeriod   = time.Second
)

// sampler is a slog.Handler that a flood of records of one kind cannot fill the
// disk through: of each kind the first records in a second pass, and one record
// `suppressed` tells how many did not. Errors always pass.
type sampler struct {
	slog.Handler
	*sample
}

// sample is what the handlers of one log share.
type sample struct {
	now func() time.Time // time.Now, or a test's clock

	mu       sync.Mutex
	since    time.Time // start of the period
	kinds    map[kind]*tally
	messages map[string]int // records that have passed
}

// kind is what the records of a flood have in common: message, route and status of
// a request, message and outcome of an audit event, and the client.
type kind struct {
	level                          slog.Level
	message, route, outcome, error string
	status                         int64
	client                         string
}

type tally struct{ passed, suppressed int }

func newSampler(next slog.Handler, now func() time.Time) *sampler {
	return &sampler{next, &sample{now: now, kinds: map[kind]*tally{}, messages: map[string]int{}}}
}

// Handle implements slog.Handler.
func (s *sampler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		return s.Handler.Handle(ctx, r)
	}
	k := kindOf(r)
	s.mu.Lock()
	ended := s.ended()
	passes := s.passes(k)
	s.mu.Unlock()
	s.tell(ctx, ended)
	if !passes {
		return nil
	}
	return s.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (s *sampler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sampler{s.Handler.WithAttrs(attrs), s.sample}
}

// WithGroup implements slog.Handler.
func (s *sampler) WithGroup(name string) slog.Handler {
	return &sampler{s.Handler.WithGroup(name), s.sample}
}

func kindOf(r slog.Record) kind {
	k := kind{level: r.Level, message: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "route":
			k.route = a.Value.String()
		case "status":
			if a.Value.Kind() == slog.KindInt64 {
				k.status = a.Value.Int64()
			}
		case "outcome":
			k.outcome = a.Value.String()
		case "error":
			k.error = a.Value.String()
		case "client", "address":
			k.client = a.Value.String()
		}
		return true
	})
	return k
}

// passes counts the record. The caller holds mu.
func (s *sample) passes(k kind) bool {
	t := s.kinds[k]
	if t == nil && len(s.kinds) >= maxKinds {
		k = kind{level: k.level, message: k.message}
		t = s.kinds[k]
	}
	if t == nil && len(s.kinds) >= 2*maxKinds { // their messages differ
		k = kind{level: k.level}
		t = s.kinds[k]
	}
	if t == nil {
		t = &tally{}
		s.kinds[k] = t
	}
	if t.passed >= passPerKind || s.messages[k.message] >= passPerMessage {
		t.suppressed++
		return false
	}
	t.passed++
	s.messages[k.message]++
	return true
}

// ended returns the tallies of a period that has ended, and begins the next one.
// The caller holds mu.
func (s *sample) ended() map[kind]*tally {
	now := s.now()
	if now.Sub(s.since) < samplePeriod {
		return nil
	}
	return s.begin(now)
}

func (s *sample) begin(now time.Time) map[kind]*tally {
	kinds := s.kinds
	s.since, s.kinds = now, map[kind]*tally{}
	clear(s.messages)
	return kinds
}

// report logs what was suppressed in a period that has ended, without waiting for
// the next record; at the end of the log, in the present period as well.
func (s *sampler) report(closing bool) {
	s.mu.Lock()
	ended := s.ended()
	if closing && ended == nil {
		ended = s.begin(s.now())
	}
	s.mu.Unlock()
	s.tell(context.Background(), ended)
}

// tell logs one record for each kind of which records were suppressed.
func (s *sampler) tell(ctx context.Context, kinds map[kind]*tally) {
	for k, t := range kinds {
		if t.suppressed == 0 {
			continue
		}
		r := slog.NewRecord(s.now(), k.level, "suppressed", 0)
		r.AddAttrs(slog.Int("count", t.suppressed), slog.String("message", k.message))
		for _, a := range []slog.Attr{
			slog.String("route", k.route), slog.String("outcome", k.outcome), slog.String("error", k.error), slog.String("client", k.client),
		} {
			if a.Value.String() != "" {
				r.AddAttrs(a)
			}
		}
		if k.status != 0 {
			r.AddAttrs(slog.Int64("status", k.status))
		}
		_ = s.Handler.Handle(ctx, r) // an error: the log is unavailable
	}
}

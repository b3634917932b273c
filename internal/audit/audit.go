// Package audit keeps the record of what happened: who did what, to whom, from
// where, and whether it was allowed.
//
// Verbs that change something write their event inside the store's
// transaction, and the store tells Writer after the commit; this package puts
// one structured record of each event into the log, and stores what only
// failed. It knows no secret: its callers give it ids, never passwords, tokens
// or addresses of strangers. login, token and directory call it.
package audit

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// maxPending bounds the refusals on their way to the table. Each waits for one
// commit at most, so more than this means that the database does not keep up,
// and further ones are in the log only.
const maxPending = 256

// refusalEvery is how often the table takes a refusal of one action, actor and
// target. The log has each of them; without a bound, a client that knows an
// address could fill the disk with wrong passwords.
const refusalEvery = time.Minute

// storeWithin is how long storing one refusal may take.
const storeWithin = 5 * time.Second

// Log is the record. It is safe for concurrent use.
type Log struct {
	store   *store.Store
	log     *slog.Logger
	pending chan struct{} // one element for each refusal being stored
	storing sync.WaitGroup

	now    func() time.Time // time.Now, or a test's
	mu     sync.Mutex
	since  time.Time       // when stored was begun
	stored map[string]bool // actions, actors and targets whose refusal was stored since
}

// New returns a Log over the store's table and the given logger. A nil log
// discards the records.
func New(s *store.Store, log *slog.Logger) *Log {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Log{store: s, log: log, pending: make(chan struct{}, maxPending), now: time.Now}
}

// Failed records a refusal: in the log, and in the table when the actor or the
// target is known, so that clients without credentials cannot fill it. The
// caller does not wait for the table: a response that waited for the disk only
// when the user exists would tell that they do. targetID and orgID may be
// empty.
func (l *Log) Failed(ctx context.Context, act store.Act, targetID, orgID string) {
	ev := act.Event(store.OutcomeRefused, targetID, orgID)
	write(ctx, l.log, ev)
	if ev.TargetID == "" && ev.ActorKind == "" || !l.first(ev) {
		return
	}
	select {
	case l.pending <- struct{}{}:
	default:
		l.log.WarnContext(ctx, "audit: too many refusals at once, this one is in the log only",
			slog.String("action", string(ev.Action)), slog.String("request_id", ev.RequestID))
		return
	}
	l.storing.Go(func() {
		defer func() { <-l.pending }()
		l.insert(context.WithoutCancel(ctx), ev)
	})
}

// first reports whether the table has no refusal of this action, actor and
// target from the current minute.
func (l *Log) first(ev store.Event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.since) >= refusalEvery || l.stored == nil {
		l.since, l.stored = now, map[string]bool{}
	}
	key := strings.Join([]string{string(ev.Action), string(ev.ActorKind), ev.ActorID, ev.TargetID}, " ")
	if l.stored[key] {
		return false
	}
	l.stored[key] = true
	return true
}

// Refused records that an administrative act ended with err, when that is a
// decision about the actor: it may not do it, also where all that it is told
// is that there is no such thing. Other refusals (a name that is taken, a user
// that is gone, a database that is unavailable) are in the log record of the
// request.
func (l *Log) Refused(ctx context.Context, act store.Act, targetID string, err error) {
	if fault.KindOf(err) == fault.Forbidden || errors.Is(err, identity.ErrElsewhere) || errors.Is(err, store.ErrLastSuperadmin) {
		l.Failed(ctx, act, targetID, "")
	}
}

// Denied logs that the role of the actor does not allow the route. There is no
// row in the table: every user could fill it by asking.
func Denied(ctx context.Context, log *slog.Logger, by identity.Actor, route string) {
	act := store.Act{Action: identity.ActionRouteDenied, By: by, Detail: route}
	write(ctx, log, act.Event(store.OutcomeRefused, "", ""))
}

// Flush waits until every refusal is stored, or could not be. A
// server calls it after its last request and before it closes the store.
func (l *Log) Flush() { l.storing.Wait() }

func (l *Log) insert(ctx context.Context, ev store.Event) {
	ctx, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	if err := l.store.InsertEvent(ctx, ev); err != nil {
		l.log.ErrorContext(ctx, "audit: the refusal could not be stored",
			slog.String("action", string(ev.Action)), slog.String("request_id", ev.RequestID), slog.Any("error", err))
	}
}

// Writer returns what store.Config.Committed calls: it writes committed events
// into the log. A nil log discards them.
func Writer(log *slog.Logger) func(store.Event) {
	if log == nil {
		return nil
	}
	return func(ev store.Event) { write(context.Background(), log, ev) }
}

// write puts one record into the log; its message is the action, so that the
// same word finds an event in the log and in the table.
func write(ctx context.Context, log *slog.Logger, ev store.Event) {
	level := slog.LevelInfo
	if ev.Outcome != store.OutcomeSuccess {
		level = slog.LevelWarn
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs, slog.Bool("audit", true), slog.String("outcome", ev.Outcome))
	for _, a := range [...]slog.Attr{
		slog.String("actor_kind", string(ev.ActorKind)), slog.String("actor_id", ev.ActorID), slog.String("on_behalf_of", ev.OnBehalfOf),
		slog.String("target_id", ev.TargetID), slog.String("org_id", ev.OrgID), slog.String("address", ev.Address),
		slog.String("request_id", ev.RequestID), slog.String("detail", ev.Detail),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	log.LogAttrs(ctx, level, string(ev.Action), attrs...)
}

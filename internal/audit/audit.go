// Package audit keeps the audit log: which actor did what, to which target, from
// which address, and whether it was allowed.
//
// Methods of the store that change something write their event inside their
// transaction, and the store passes it to Writer after the commit; this package
// writes one structured record of each event into the log, and stores what only
// failed. It knows no secret: its callers give it ids, never passwords, tokens
// or e-mail addresses of unknown users. login, token and directory call it.
package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/trace"
)

// maxPending limits the refusals that wait for the table. Each waits for one
// commit at most, so more than this means that the database is too slow, and
// further ones are only counted.
const maxPending = 256

// maxAddress limits what the log has of an address, in bytes; no valid one is longer.
const maxAddress = 254

// storeWithin is how long storing one refusal may take.
const storeWithin = 5 * time.Second

// Log is the audit log. It is safe for concurrent use.
type Log struct {
	store   *store.Store
	log     *slog.Logger
	master  *seal.Master
	pending chan struct{} // one element for each refusal being stored
	storing sync.WaitGroup

	addresses bool
	stream    *Stream

	now      func() time.Time // time.Now, or a test's clock
	refusals refusals
}

// Config is what a Log needs. Store is required.
type Config struct {
	Store     *store.Store
	Log       *slog.Logger // nil: discard
	Master    *seal.Master // keys the digests of addresses; nil: a key of this process
	Addresses bool         // the log has the addresses of failed logins instead of digests
	Stream    *Stream      // nil: none

	Now func() time.Time // nil: time.Now
}

// New returns a Log over the store's table and the logger.
func New(cfg Config) *Log {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Master == nil {
		cfg.Master = randomMaster()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Log{
		store: cfg.Store, log: cfg.Log, master: cfg.Master, addresses: cfg.Addresses, stream: cfg.Stream,
		pending: make(chan struct{}, maxPending), now: cfg.Now,
	}
}

func randomMaster() *seal.Master {
	key := make([]byte, seal.KeySize)
	_, _ = rand.Read(key) // never fails: it ends the process instead
	master, err := seal.New(key)
	if err != nil {
		panic(err) // it has the right size
	}
	return master
}

// Failed records a refusal: in the log, and in the table when the actor or the
// target is known, so that clients without credentials cannot fill it. The
// caller does not wait for the table: a response that waited for the disk only
// when the user exists would reveal that. targetID and orgID may be
// empty.
func (l *Log) Failed(ctx context.Context, act store.Act, targetID, orgID string) {
	l.failed(ctx, act, targetID, orgID)
}

// FailedLogin is Failed for a login with that address, which is in the log only, and
// there as a digest unless the configuration wants it: it may be a password that was
// typed into the wrong field. The digest is enough to recognize repeated attempts with
// one address, and useless without the master key for guessing what was typed.
func (l *Log) FailedLogin(ctx context.Context, act store.Act, targetID, orgID, email string) {
	typed := slog.String("email_digest", Digest(l.master, email))
	if l.addresses {
		typed = slog.String("email", email[:min(len(email), maxAddress)])
	}
	l.failed(ctx, act, targetID, orgID, typed)
}

func (l *Log) failed(ctx context.Context, act store.Act, targetID, orgID string, more ...slog.Attr) {
	ev := act.Event(store.OutcomeRefused, targetID, orgID)
	ev.ID, ev.At = store.NewID(), l.now().UTC().Truncate(time.Microsecond)
	write(ctx, l.log, ev, more...)
	l.stream.add(ev)
	if ev.TargetID == "" && ev.ActorKind == "" {
		return
	}
	of := groupOf(ev, act.By.Network)
	for _, due := range l.refusals.add(of, ev) {
		switch ok := l.insertLater(ctx, due); {
		case ok:
		case due.ID == ev.ID:
			l.refusals.missed(of, ev)
		default:
			l.log.WarnContext(ctx, "audit: too many refusals; a count of them is in the log only",
				slog.String("action", string(due.Action)), slog.String("detail", due.Detail))
		}
	}
}

// insertLater stores the event in the background, and reports false when too many
// others wait for that.
func (l *Log) insertLater(ctx context.Context, ev store.Event) bool {
	select {
	case l.pending <- struct{}{}:
	default:
		return false
	}
	l.storing.Go(func() {
		defer func() { <-l.pending }()
		l.insert(context.WithoutCancel(ctx), ev)
	})
	return true
}

// Settle stores the counts of refusals whose minute has passed. A server calls it every
// few seconds.
func (l *Log) Settle(ctx context.Context) {
	for _, ev := range l.refusals.settle(l.now()) {
		l.insert(ctx, ev)
	}
}

// Close stores all counts, and waits until every refusal was stored or failed to be.
// A server calls it after its last request and before it closes the store.
func (l *Log) Close() {
	l.Flush()
	for _, ev := range l.refusals.settle(time.Time{}) {
		l.insert(context.Background(), ev)
	}
}

// Refused records that an administrative operation ended with err, if err is a
// decision about the actor: it may not do it, even if the response hides that and
// says "not found". Other refusals (a name in use, a deleted user, an unavailable
// database) are in the log record of the request.
func (l *Log) Refused(ctx context.Context, act store.Act, targetID string, err error) {
	if fault.KindOf(err) == fault.Forbidden || errors.Is(err, identity.ErrElsewhere) || errors.Is(err, store.ErrLastSuperadmin) ||
		errors.Is(err, identity.ErrReauthenticate) {
		l.Failed(ctx, act, targetID, "")
	}
}

// Logged records what succeeded in the log only, since it is too frequent for the
// table and stores nothing.
func (l *Log) Logged(ctx context.Context, act store.Act, targetID, orgID string) {
	write(ctx, l.log, act.Event(store.OutcomeSuccess, targetID, orgID))
}

// Denied logs that the role of the actor does not allow the route. There is no
// row in the table: every user could fill it with requests.
func Denied(ctx context.Context, log *slog.Logger, by identity.Actor, route string) {
	act := store.Act{Action: identity.ActionRouteDenied, By: by, Detail: route}
	write(ctx, log, act.Event(store.OutcomeRefused, "", ""))
}

// Flush waits until every refusal that is not only counted was stored or failed to be.
func (l *Log) Flush() { l.storing.Wait() }

func (l *Log) insert(ctx context.Context, ev store.Event) {
	ctx, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	if err := l.store.InsertEvent(ctx, ev); err != nil {
		l.log.ErrorContext(ctx, "audit: storing a refusal failed",
			slog.String("action", string(ev.Action)), slog.String("request_id", ev.RequestID), slog.Any("error", err))
	}
}

// Writer returns what store.Config.Committed calls: it writes committed events
// into the log. A nil log discards them.
func Writer(log *slog.Logger) func(store.Event) {
	if log == nil {
		return nil
	}
	return func(ev store.Event) { write(trace.With(context.Background(), ev.Trace), log, ev) }
}

// write writes one record into the log; its message is the action, so that the
// same name finds an event in the log and in the table.
func write(ctx context.Context, log *slog.Logger, ev store.Event, more ...slog.Attr) {
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
	log.LogAttrs(ctx, level, string(ev.Action), append(attrs, more...)...)
}

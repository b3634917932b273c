// Package audit keeps the record of what happened: who did what, to whom, from
// where, and whether they were allowed to.
//
// Acts that change something write their own row inside the store's
// transaction; this package names the acts, stores what only failed, and puts
// one structured record of each decision into the log. It knows no secret: its
// callers hand it ids, never passwords, tokens or addresses of strangers.
// login, token and directory call it.
package audit

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// The acts, as they stand in the table and in the log.
const (
	Login              = "login"
	Logout             = "logout"
	Refresh            = "token.refresh"
	Register           = "user.register"
	CreateUser         = "user.create"
	CreateFirstAdmin   = "user.create_first_admin"
	SetRole            = "user.set_role"
	SetStatus          = "user.set_status"
	DeleteUser         = "user.delete"
	ChangePassword     = "user.change_password"
	ResetPassword      = "user.reset_password"
	CreateGroup        = "group.create"
	UpdateGroup        = "group.update"
	DeleteGroup        = "group.delete"
	AddMember          = "group.add_member"
	RemoveMember       = "group.remove_member"
	CreateServiceToken = "service_token.create"
	RevokeServiceToken = "service_token.revoke"
	SetRegistration    = "registration.set"
)

// Reuse is a spent refresh token that came back; the store itself names it in
// the transaction that ends the session.
const Reuse = store.ActionReuse

// maxPending bounds the refusals on their way to the table. Each waits for one
// commit at most, so more than this means that the database does not keep up;
// the log then is their only record.
const maxPending = 256

// refusalEvery is how often the table takes a refusal of one act about one
// person. The log has each of them; without a bound, whoever knows an address
// could fill the disk with wrong passwords.
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
	stored map[string]bool // acts and people whose refusal was stored since
}

// New returns a Log over the store's table and the given logger. A nil log
// discards the records.
func New(s *store.Store, log *slog.Logger) *Log {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Log{store: s, log: log, pending: make(chan struct{}, maxPending), now: time.Now}
}

// Done logs a success whose row the verb has already stored. targetID is whom
// or what the act changed; empty: nothing that has an id.
func (l *Log) Done(ctx context.Context, act store.Act, targetID string) {
	ev := eventOf(act, targetID)
	ev.Outcome = store.OutcomeSuccess
	l.write(ctx, slog.LevelInfo, ev)
}

// Failed logs a refusal, and stores it when it is about a known person, so
// that strangers cannot fill the table. Storing happens behind the caller's
// back: an answer that waited for the disk only when the person exists would
// tell a stopwatch that they do. ID and At are filled in when they are empty.
func (l *Log) Failed(ctx context.Context, ev store.Event) {
	if ev.Outcome == "" {
		ev.Outcome = store.OutcomeRefused
	}
	l.write(ctx, slog.LevelWarn, ev)
	if ev.TargetID == "" && ev.ActorID == "" || !l.first(ev) {
		return
	}
	select {
	case l.pending <- struct{}{}:
	default:
		l.log.WarnContext(ctx, "audit: too many refusals at once, this one is in the log only",
			slog.String("action", ev.Action), slog.String("request_id", ev.RequestID))
		return
	}
	l.storing.Go(func() {
		defer func() { <-l.pending }()
		l.insert(context.WithoutCancel(ctx), ev)
	})
}

// first reports whether the table has no refusal of this act about these
// people from the current minute.
func (l *Log) first(ev store.Event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.since) >= refusalEvery || l.stored == nil {
		l.since, l.stored = now, map[string]bool{}
	}
	key := ev.Action + " " + ev.ActorID + " " + ev.TargetID
	if l.stored[key] {
		return false
	}
	l.stored[key] = true
	return true
}

// Verdict records how an administrative act ended: as Done without an error,
// as Failed when the actor may not do it, also where all that they are told is
// that there is no such thing. Other refusals (a name that is taken, a person
// that is gone, a database that is away) are no decision about the actor; the
// request's own log record tells them.
func (l *Log) Verdict(ctx context.Context, act store.Act, targetID string, err error) {
	switch {
	case err == nil:
		l.Done(ctx, act, targetID)
	case fault.KindOf(err) == fault.Forbidden, errors.Is(err, identity.ErrElsewhere), errors.Is(err, store.ErrLastSuperadmin):
		l.Failed(ctx, eventOf(act, targetID))
	}
}

func eventOf(act store.Act, targetID string) store.Event {
	actor := act.By.UserID
	if act.By.System {
		actor = store.ActorSystem
	}
	return store.Event{
		Action: act.Action, ActorID: actor, TargetID: targetID,
		Address: act.By.Address, RequestID: act.By.RequestID, Detail: act.Detail,
	}
}

// Flush waits until every refusal handed to Failed is stored or given up. A
// server calls it after its last request and before it closes the store.
func (l *Log) Flush() { l.storing.Wait() }

func (l *Log) insert(ctx context.Context, ev store.Event) {
	ctx, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	if ev.ID == "" {
		ev.ID = uuid.Must(uuid.NewV7()).String()
	}
	if err := l.store.InsertEvent(ctx, ev); err != nil {
		l.log.ErrorContext(ctx, "audit: the refusal could not be stored",
			slog.String("action", ev.Action), slog.String("request_id", ev.RequestID), slog.Any("error", err))
	}
}

// write puts one record into the log; its message is the act, so that the same
// word finds an act in the log and in the table.
func (l *Log) write(ctx context.Context, level slog.Level, ev store.Event) {
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.Bool("audit", true), slog.String("outcome", ev.Outcome))
	for _, a := range [...]slog.Attr{
		slog.String("actor_id", ev.ActorID), slog.String("target_id", ev.TargetID),
		slog.String("org_id", ev.OrgID), slog.String("address", ev.Address),
		slog.String("request_id", ev.RequestID), slog.String("detail", ev.Detail),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	l.log.LogAttrs(ctx, level, ev.Action, attrs...)
}

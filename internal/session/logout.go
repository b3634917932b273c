package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/outbound"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/trace"
)

const (
	// hostShare is how many deliveries to one host are in progress at once, and
	// maxDeliveries how many in all. A slow client delays only itself.
	hostShare     = 4
	maxDeliveries = 200

	// deliveryLease is when another replica repeats a delivery whose outcome is unknown.
	deliveryLease = 30 * time.Second

	// turn is how long deliveries to one client go on before those to others of the
	// host have a chance.
	turn = 2 * time.Second
)

// retries are the pauses after a failed delivery; after the last one it is not repeated.
var retries = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}

// LogoutConfig is what NewLogouts needs. Store, Tokens and Outbound are required.
type LogoutConfig struct {
	Store    *store.Store
	Tokens   *token.Issuer
	Outbound *outbound.Client
	Log      *slog.Logger     // nil: discard
	Now      func() time.Time // nil: time.Now
}

// Logouts tells clients of sessions that have ended (OpenID Connect Back-Channel Logout
// 1.0). The store queues what it delivers. It is safe for concurrent use, on any number of
// replicas.
type Logouts struct {
	store    *store.Store
	tokens   *token.Issuer
	outbound *outbound.Client
	log      *slog.Logger
	now      func() time.Time

	running sync.WaitGroup
	stop    context.CancelFunc
	working context.Context //nolint:containedctx // of the deliveries, which outlive the call that begins them

	mu    sync.Mutex
	busy  map[string]int // deliveries in progress, by host
	total int

	delivered, failed, dead atomic.Uint64
}

// LogoutStats counts deliveries since the start whose outcome is recorded.
type LogoutStats struct {
	Delivered uint64
	Failed    uint64 // attempts
	Dead      uint64 // deliveries that are not repeated any more
}

// NewLogouts returns Logouts, which must be closed.
func NewLogouts(cfg LogoutConfig) *Logouts {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &Logouts{store: cfg.Store, tokens: cfg.Tokens, outbound: cfg.Outbound, log: cfg.Log, now: cfg.Now, busy: map[string]int{}}
	l.working, l.stop = context.WithCancel(context.Background())
	return l
}

// Close cancels the deliveries in progress, which are repeated later, and waits for them.
func (l *Logouts) Close() {
	l.stop()
	l.running.Wait()
}

// Stats returns the counts so far.
func (l *Logouts) Stats() LogoutStats {
	return LogoutStats{Delivered: l.delivered.Load(), Failed: l.failed.Load(), Dead: l.dead.Load()}
}

// Step begins the deliveries that are due, as far as the limits allow, and does not wait
// for them. A job calls it.
func (l *Logouts) Step(ctx context.Context) (more bool, err error) {
	due, err := l.store.DueLogouts(ctx)
	if err != nil {
		return false, fmt.Errorf("read due logouts: %w", err)
	}
	var failed []error
	for _, d := range due {
		failed = append(failed, l.begin(ctx, d))
	}
	return false, errors.Join(failed...)
}

// begin begins deliveries to the client.
func (l *Logouts) begin(ctx context.Context, due store.ClientLogouts) error {
	c, err := l.store.Client(ctx, due.ClientID)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return fmt.Errorf("read client: %w", err)
	}
	u, malformed := url.Parse(c.BackchannelLogoutURI)
	if err != nil || malformed != nil || c.BackchannelLogoutURI == "" { // it was deleted, or is not told any more
		return l.store.ForgetLogouts(ctx, due.ClientID)
	}
	for range l.reserve(u.Host, due.Waiting) {
		l.running.Go(func() {
			defer l.release(u.Host)
			l.work(c)
		})
	}
	return nil
}

// reserve takes up to want places for deliveries to the host.
func (l *Logouts) reserve(host string, want int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := max(0, min(want, hostShare-l.busy[host], maxDeliveries-l.total))
	l.busy[host] += n
	l.total += n
	return n
}

func (l *Logouts) release(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.busy[host]--; l.busy[host] == 0 {
		delete(l.busy, host)
	}
}

// work makes deliveries to the client, one after another.
func (l *Logouts) work(c oauth.Client) {
	ctx := l.working
	for begin := time.Now(); time.Since(begin) < turn && ctx.Err() == nil; {
		d, found, err := l.store.TakeLogout(ctx, c.ID, deliveryLease)
		if err != nil || !found {
			l.report(ctx, c, err)
			return
		}
		l.report(ctx, c, l.deliver(ctx, c, d))
	}
}

// report logs an error of the database; the delivery is repeated when its lease ends.
func (l *Logouts) report(ctx context.Context, c oauth.Client, err error) {
	if err != nil && ctx.Err() == nil {
		l.log.WarnContext(ctx, "logout delivery not recorded", "client_id", c.ID, "error", err)
	}
}

// deliver makes one attempt, with a token of its own, and records its outcome.
func (l *Logouts) deliver(ctx context.Context, c oauth.Client, d store.LogoutDelivery) error {
	ctx = trace.With(ctx, d.Trace)
	status, err := l.post(ctx, c, d)
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // the server stops: the delivery is repeated
	case err == nil && status >= 200 && status < 300:
		if err := l.store.LogoutDelivered(ctx, d); err != nil {
			return err
		}
		l.delivered.Add(1)
		return nil
	case err == nil:
		err = fmt.Errorf("status %d", status)
	}
	var next time.Time
	dead := status == 400 || d.Attempts > len(retries)
	if !dead {
		next = l.now().Add(retries[d.Attempts-1])
	}
	if err := l.store.LogoutFailed(ctx, d, storable(err.Error()), next); err != nil {
		return err
	}
	l.failed.Add(1)
	if dead {
		l.dead.Add(1)
		l.log.WarnContext(ctx, "client not told of a logout", "client_id", c.ID, "session", d.SessionID, "attempts", d.Attempts, "problem", err)
	}
	return nil
}

// post sends the logout token, OpenID Connect Back-Channel Logout 2.5.
func (l *Logouts) post(ctx context.Context, c oauth.Client, d store.LogoutDelivery) (status int, err error) {
	signed, err := l.tokens.LogoutToken(c, d.UserID, d.SessionID)
	if err != nil {
		return 0, err
	}
	return l.outbound.PostForm(ctx, c.BackchannelLogoutURI, url.Values{"logout_token": {signed}})
}

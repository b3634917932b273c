package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/internal/trace"
)

// A session in a browser that ends has rows in logout_deliveries, one for each client
// with a family of it that wants to be told (OpenID Connect Back-Channel Logout). They
// are written in the transaction that ends the session, whatever ends it.

// givenUpStay is how long what could not be delivered is shown.
const givenUpStay = 7 * 24 * time.Hour

// queueLogouts queues what the sessions in browsers that an event has just ended tell
// their clients. whose and args are those of the statement that ended them. The text in
// the metadata is a first choice only: who delivers reads the client again.
func (t *tx) queueLogouts(whose string, args []any) error {
	n := len(args)
	_, err := t.exec(fmt.Sprintf(`INSERT INTO logout_deliveries (session_id, client_id, user_id, created_at, next_at, traceparent, tracestate)
		SELECT DISTINCT s.id, f.client_id, s.user_id, s.ended_at, s.ended_at AS next_at, CAST($%d AS TEXT), CAST($%d AS TEXT)
		FROM sessions s JOIN refresh_families f ON f.session_id = s.id JOIN clients c ON c.id = f.client_id
		WHERE s.id IN (SELECT id FROM sessions WHERE ended_at = $1 AND end_reason = $2 AND `+whose+` AND cookie_hash IS NOT NULL)
			AND c.metadata LIKE '%%"backchannel_logout_uri":%%'
		ON CONFLICT (session_id, client_id) DO NOTHING`, n+1, n+2), append(slices.Clone(args), t.trace.Parent, t.trace.State)...)
	return err
}

// EndExpired ends sessions in browsers that were idle for too long or have come to
// their absolute end, at most batch of them, and reports whether there are more. No
// request needs it, since expired ones are refused anyway: their clients are told.
func (s *Store) EndExpired(ctx context.Context, batch int) (more bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		lock := t.forUpdate("s")
		if t.locks {
			lock += " SKIP LOCKED" // another transaction uses or ends it, perhaps others of the user after it
		}
		type expired struct{ id, user string }
		all, err := collect(t, func(r scanner) (e expired, err error) {
			err = r.Scan(&e.id, &e.user)
			return e, err
		}, `SELECT s.id, s.user_id FROM sessions s WHERE s.cookie_hash IS NOT NULL AND s.ended_at IS NULL AND s.idle_expires_at <= $1
			ORDER BY s.idle_expires_at LIMIT $2`+lock, t.stamp(), batch)
		if err != nil {
			return err
		}
		for _, e := range all {
			if _, err := t.end(EndExpiry, subjects{userID: e.user, sessionID: e.id}); err != nil {
				return err
			}
		}
		more = len(all) == batch
		return nil
	})
	return more && err == nil, err
}

// LogoutDelivery is a client that is to be told that a session has ended.
type LogoutDelivery struct {
	SessionID, ClientID, UserID string
	Attempts                    int           // with the one that it was taken for
	Trace                       trace.Context // of the request that ended the session
}

// DueLogouts counts the deliveries that are due, by client, with those that wait the
// longest first.
func (s *Store) DueLogouts(ctx context.Context) (due []ClientLogouts, err error) {
	err = s.lookup(ctx, func(t *tx) error {
		due, err = collect(t, func(r scanner) (c ClientLogouts, err error) {
			err = r.Scan(&c.ClientID, &c.Waiting)
			return c, err
		}, "SELECT client_id, COUNT(*) FROM logout_deliveries WHERE next_at <= $1 GROUP BY client_id ORDER BY MIN(next_at)", t.stamp())
		return err
	})
	return due, err
}

// TakeLogout takes a delivery to the client that is due. Unless its outcome is recorded
// it is due again after that time: the replica that took it has stopped. found is false
// when none is due, or others have taken them.
func (s *Store) TakeLogout(ctx context.Context, clientID string, lease time.Duration) (d LogoutDelivery, found bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		d.ClientID = clientID
		found, err = t.get([]any{&d.SessionID, &d.UserID, &d.Attempts, &d.Trace.Parent, &d.Trace.State}, `UPDATE logout_deliveries SET next_at = $1, attempts = attempts + 1
			WHERE client_id = $2 AND next_at <= $3 AND session_id = (SELECT l.session_id FROM logout_deliveries l
				WHERE l.client_id = $2 AND l.next_at <= $3 ORDER BY l.next_at LIMIT 1`+t.skipLocked("l")+`)
			RETURNING session_id, user_id, attempts, traceparent, tracestate`, FormatTime(t.now.Add(lease)), clientID, t.stamp())
		return err
	})
	return d, found && err == nil, err
}

// skipLocked is forUpdate that passes over the rows of other transactions.
func (t *tx) skipLocked(alias string) string {
	if !t.locks {
		return ""
	}
	return t.forUpdate(alias) + " SKIP LOCKED"
}

// LogoutDelivered removes a delivery.
func (s *Store) LogoutDelivered(ctx context.Context, d LogoutDelivery) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM logout_deliveries WHERE session_id = $1 AND client_id = $2", d.SessionID, d.ClientID)
		return err
	})
}

// LogoutFailed records why a delivery failed, and when it is due again; zero: never.
func (s *Store) LogoutFailed(ctx context.Context, d LogoutDelivery, problem string, next time.Time) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE logout_deliveries SET problem = $1, next_at = $2 WHERE session_id = $3 AND client_id = $4 AND attempts = $5",
			problem, FormatOptional(next), d.SessionID, d.ClientID, d.Attempts)
		return err
	})
}

// ForgetLogouts removes all deliveries to a client that does not want them any more.
func (s *Store) ForgetLogouts(ctx context.Context, clientID string) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM logout_deliveries WHERE client_id = $1", clientID)
		return err
	})
}

// ClientLogouts is what was and is to be delivered to a client.
type ClientLogouts struct {
	ClientID string
	Waiting  int // to be delivered, or delivered again
	GivenUp  int // of the last week
	Problem  string
	Since    time.Time // of the oldest; zero: none
}

// Logouts describes the deliveries to the client that have not succeeded.
func (s *Store) Logouts(ctx context.Context, clientID string) (c ClientLogouts, err error) {
	err = s.read(ctx, func(t *tx) error {
		c = ClientLogouts{ClientID: clientID}
		_, err := t.get([]any{&c.Waiting, &c.GivenUp, timeColumn{&c.Since}, &c.Problem}, `SELECT COUNT(next_at), COUNT(*) - COUNT(next_at), MIN(created_at),
			COALESCE((SELECT l.problem FROM logout_deliveries l WHERE l.client_id = $1 AND l.problem <> '' ORDER BY l.created_at DESC LIMIT 1), '')
			FROM logout_deliveries WHERE client_id = $1`, clientID)
		return err
	})
	return c, err
}

// PurgeLogouts removes deliveries that failed for good, after a week.
func (s *Store) PurgeLogouts(ctx context.Context, batch int) (removed int64, err error) {
	err = s.write(ctx, func(t *tx) error {
		removed, err = t.exec(`DELETE FROM logout_deliveries WHERE next_at IS NULL AND (session_id, client_id) IN (
			SELECT session_id, client_id FROM logout_deliveries WHERE next_at IS NULL AND created_at < $1 LIMIT $2)`,
			FormatTime(t.now.Add(-givenUpStay)), batch)
		return err
	})
	return removed, err
}

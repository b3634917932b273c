package store

import (
	"context"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// ErrAssertionUsed refuses a client assertion that was presented before.
var ErrAssertionUsed = fault.New(fault.Conflict, "assertion_used", "the client assertion was used before")

// UseClientAssertion records that the client used an assertion, by the hash of its jti;
// ErrAssertionUsed when it did before (RFC 7523 section 3). It is remembered until it
// expires. One that was used costs a read: otherwise its replay would take the writer.
func (s *Store) UseClientAssertion(ctx context.Context, clientID, jtiHash string, expiresAt time.Time) error {
	if err := s.lookup(ctx, func(t *tx) error {
		var one int64
		used, err := t.get([]any{&one}, "SELECT 1 FROM client_assertions WHERE client_id = $1 AND jti_hash = $2", clientID, jtiHash)
		if err == nil && used {
			err = ErrAssertionUsed
		}
		return err
	}); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		n, err := t.exec("INSERT INTO client_assertions (client_id, jti_hash, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
			clientID, jtiHash, FormatTime(expiresAt))
		if err == nil && n == 0 {
			err = ErrAssertionUsed
		}
		return err
	})
}

// purgeAssertions removes assertions that no replica accepts any more; more reports that
// there may be others.
func (t *tx) purgeAssertions(limit int) (more bool, err error) {
	n, err := t.exec(`DELETE FROM client_assertions WHERE (client_id, jti_hash) IN
		(SELECT client_id, jti_hash FROM client_assertions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`, t.verified(), limit)
	return n >= int64(limit), err
}

package store

import (
	"cmp"
	"context"
	"sync"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// mostEnded is how many families an endedFamilies has at most.
const mostEnded = 4096

// endedFamilies remembers families that have ended and whose tokens are presented all the
// same. That is for ever, so that further ones are refused without the database: a
// transaction that finds it out locks the token, and those that wait for that lock would
// have all connections. The zero endedFamilies is empty.
type endedFamilies struct {
	mu sync.Mutex
	of map[string]struct{} // by familyKey
}

// familyKey is the part that all tokens of a family share, or the token. A token that was
// not issued with that part is unknown, so no client can name the family of another one.
func (p PresentedRefresh) familyKey() string { return cmp.Or(p.SharedHash, p.Hashes[0]) }

func (e *endedFamilies) has(p PresentedRefresh) bool {
	if len(p.Hashes) == 0 {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ended := e.of[p.familyKey()]
	return ended
}

func (e *endedFamilies) add(p PresentedRefresh) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of == nil || len(e.of) >= mostEnded {
		e.of = map[string]struct{}{}
	}
	e.of[p.familyKey()] = struct{}{}
}

// rememberEnded is called when a token was refused. It reads outside of the transaction
// that did, which may have seen what is not committed.
func (s *Store) rememberEnded(ctx context.Context, p PresentedRefresh, refusal error) {
	first, second, err := hashPair(p.Hashes)
	if err != nil || fault.KindOf(refusal) != fault.Unauthenticated {
		return
	}
	err = s.lookup(ctx, func(t *tx) error {
		var one int
		ended, err := t.get([]any{&one}, `SELECT 1 FROM refresh_tokens t JOIN refresh_families f ON f.id = t.family_id
			WHERE t.token_hash IN ($1, $2) AND f.ended_at IS NOT NULL
			UNION ALL SELECT 1 FROM refresh_families WHERE shared_hash = $3 AND ended_at IS NOT NULL LIMIT 1`, first, second, p.SharedHash)
		if ended {
			s.over.add(p)
		}
		return err
	})
	if err != nil {
		s.log.DebugContext(ctx, "read of an ended family failed", "error", err) // the next one finds it out
	}
}

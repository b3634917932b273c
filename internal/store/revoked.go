package store

import (
	"context"
	"time"
)

// verifierLeeway is how long after its exp a verifier may still accept a token.
const verifierLeeway = time.Minute

// Revocation is an access token that is revoked, since the family it came from
// ended.
type Revocation struct {
	JTI       string
	Until     time.Time // some verifier may accept it until then
	At        time.Time // when the family ended
	SessionID string    // its claim sid
	Session   bool      // all tokens of the session are revoked: it ended, and no family of it remains
}

// Revocations calls each for the access tokens that some verifier may still accept
// and that are revoked, since the family they came from ended at that time or later.
// If the connection is lost, it begins again.
func (s *Store) Revocations(ctx context.Context, since time.Time, each func(Revocation)) error {
	return s.read(ctx, func(t *tx) error {
		return t.each(func(r scanner) error {
			var v Revocation
			var family, session EndReason
			if err := r.Scan(&v.JTI, timeColumn{&v.Until}, timeColumn{&v.At}, &v.SessionID, &v.Session,
				(*string)(&family), (*string)(&session)); err != nil {
				return err
			}
			v.Until = v.Until.Add(verifierLeeway)
			v.Session = v.Session && endings[session].listed
			if endings[family].listed {
				each(v)
			}
			return nil
		}, `SELECT t.access_jti, t.access_expires_at, f.ended_at, COALESCE(s.id, f.id),
				s.id IS NULL OR s.ended_at IS NOT NULL AND NOT EXISTS (
					SELECT 1 FROM refresh_families o WHERE o.session_id = s.id AND o.ended_at IS NULL),
				COALESCE(f.end_reason, ''), COALESCE(s.end_reason, f.end_reason, '')
			FROM refresh_families f JOIN refresh_tokens t ON t.family_id = f.id LEFT JOIN sessions s ON s.id = f.session_id
			WHERE f.ended_at IS NOT NULL AND f.ended_at >= $1 AND t.access_jti IS NOT NULL AND t.access_expires_at > $2
			ORDER BY f.ended_at`, FormatTime(since), FormatTime(t.now.Add(-verifierLeeway)))
	})
}

// OwnRevocations is Revocations of what ended by operations of this Store since the
// last call. It costs nothing when nothing did.
func (s *Store) OwnRevocations(ctx context.Context, each func(Revocation)) error {
	first := s.ended.Swap(0)
	if first == 0 {
		return nil
	}
	if err := s.Revocations(ctx, time.UnixMicro(first), each); err != nil {
		s.noteEnded(first)
		return err
	}
	return nil
}

// HasOwnRevocations reports whether OwnRevocations has something to read.
func (s *Store) HasOwnRevocations() bool { return s.ended.Load() != 0 }

// noteEnded notes the time, in microseconds since 1970, of a committed operation that
// ended something; 0 is none.
func (s *Store) noteEnded(at int64) {
	for at != 0 {
		first := s.ended.Load()
		if first != 0 && first <= at || s.ended.CompareAndSwap(first, at) {
			return
		}
	}
}

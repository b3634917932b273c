package engine

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestSessionsThatAreNoGoodAreClosed(t *testing.T) {
	for code, closed := range map[string]bool{
		"25006": true, "57P01": true, "57P02": true, "57P03": true, "08000": true, "08003": true, "08006": true, "08P01": true,
		"57014": false, "40001": false, "40P01": false, "23505": false, "53100": false, "55P03": false, "42P01": false, "25P02": false,
	} {
		if keep := new(sessions).keep(nil, &pgconn.PgError{Severity: "ERROR", Code: code}); keep == closed {
			t.Errorf("%s: the connection is kept: %t", code, keep)
		}
	}
	if new(sessions).keep(nil, &pgconn.PgError{Severity: "FATAL", Code: "28000"}) {
		t.Error("a fatal error keeps the connection")
	}
}

// A read-only server refuses every write: reads must not open a connection for each.
func TestRefusedWritesReplaceTheOtherConnectionsOnceASecond(t *testing.T) {
	var s sessions
	readOnly := &pgconn.PgError{Severity: "ERROR", Code: readOnly}
	s.keep(nil, readOnly)
	first := s.swept.Load()
	if age := time.Since(time.Unix(0, first)); age > time.Minute {
		t.Fatalf("connections opened %v ago are kept", age)
	}
	s.swept.Store(time.Now().Add(time.Hour).UnixNano()) // as if the next one followed at once
	before := s.swept.Load()
	s.keep(nil, readOnly)
	if s.swept.Load() != before {
		t.Error("a second refusal replaces them again")
	}
	s.swept.Store(time.Now().Add(-2 * sweepSessions).UnixNano())
	before = s.swept.Load()
	s.keep(nil, readOnly)
	if s.swept.Load() == before {
		t.Error("a later refusal does not replace them")
	}
}

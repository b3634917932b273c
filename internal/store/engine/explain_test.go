package engine_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// pgx puts each attempt on a line of its own, which a log or a terminal shows as one.
func TestAServerThatIsNotReachedIsOneSentence(t *testing.T) {
	target, err := engine.Parse("postgresql://auth@db.example/auth")
	if err != nil {
		t.Fatal(err)
	}
	for _, cause := range []error{
		&net.DNSError{Err: "no such host", Name: "db.example", IsNotFound: true},
		&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")},
	} {
		err := target.Explain(fmt.Errorf("failed to connect:\n\thostname resolving error: %w\n\tagain", cause))
		if fault.KindOf(err) != fault.Unavailable || strings.ContainsAny(err.Error(), "\n\t") || !strings.Contains(err.Error(), "db.example:5432 does not answer: ") {
			t.Errorf("%v", err)
		}
	}
}

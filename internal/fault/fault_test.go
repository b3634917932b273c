package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
)

func TestUnclassifiedErrorIsInternal(t *testing.T) {
	for _, err := range []error{nil, io.EOF, fmt.Errorf("read: %w", io.EOF), &fault.Error{Message: "zero"}} {
		if got := fault.KindOf(err); got != fault.Internal {
			t.Errorf("KindOf(%v) = %d", err, got)
		}
	}
}

func TestTheKindSurvivesTheWayUp(t *testing.T) {
	err := fmt.Errorf("find user: %w", fault.New(fault.NotFound, "not_found", "there is no such user"))
	if got := fault.KindOf(err); got != fault.NotFound {
		t.Errorf("KindOf = %d", got)
	}
}

func TestAFaultIsFoundAgainAfterACauseWasAdded(t *testing.T) {
	sentinel := fault.New(fault.Unavailable, "unavailable", "the database is unavailable")
	err := fmt.Errorf("read: %w", fault.Wrap(fault.Unavailable, "unavailable", "the database is unavailable", io.ErrUnexpectedEOF))
	if !errors.Is(err, sentinel) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v is neither the fault nor its cause", err)
	}
	for _, other := range []*fault.Error{
		fault.New(fault.Unavailable, "busy", "the database is unavailable"), fault.New(fault.Internal, "unavailable", "the database is unavailable"),
	} {
		if errors.Is(err, other) {
			t.Errorf("%v is %+v", err, other)
		}
	}
}

func TestTheTextForTheLogNamesTheCauseAndTheMessageDoesNot(t *testing.T) {
	err := fault.Wrap(fault.Internal, "", "something broke", io.EOF)
	if err.Error() != "something broke: EOF" || err.Message != "something broke" {
		t.Errorf("log %q, user %q", err.Error(), err.Message)
	}
}

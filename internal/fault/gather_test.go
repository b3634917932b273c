package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
)

func TestGatherNamesEveryBadField(t *testing.T) {
	err := fault.Gather(
		nil,
		fault.BadField("email", "no address"),
		fmt.Errorf("wrapped: %w", fault.BadField("role", "no role")),
	)
	var got *fault.Error
	if !errors.As(err, &got) {
		t.Fatalf("Gather = %v", err)
	}
	want := []fault.Field{{Name: "email", Message: "no address"}, {Name: "role", Message: "no role"}}
	if diff := cmp.Diff(want, got.Fields); diff != "" || got.Kind != fault.Invalid || got.Code != "validation_failed" || got.Message != "no address; no role" {
		t.Errorf("kind %d, code %q, message %q, fields (-want +got):\n%s", got.Kind, got.Code, got.Message, diff)
	}
}

func TestGatherOfGoodMembersIsNil(t *testing.T) {
	if err := fault.Gather(nil, nil); err != nil {
		t.Errorf("Gather = %v", err)
	}
}

func TestGatherKeepsTheSentenceOfASingleFault(t *testing.T) {
	err := fault.Gather(nil, fault.BadField("email", "no address"))
	if err == nil || err.Error() != "no address" {
		t.Errorf("Gather = %v", err)
	}
}

func TestGatherPassesAccidentsOn(t *testing.T) {
	unavailable := fault.New(fault.Unavailable, "unavailable", "the database is unavailable")
	if err := fault.Gather(fault.BadField("email", "no address"), unavailable); !errors.Is(err, unavailable) {
		t.Errorf("Gather = %v", err)
	}
}

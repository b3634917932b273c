package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
)

// The operator learns whether the next attempt is refused, and until when.
func TestUserShowSaysWhenTheNextAttemptIsPossible(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for count, want := range map[int64]string{
		1:   "after 19 more they wait for one another",
		19:  "further ones wait for one another",
		20:  "from these none before 2026-11-28T12:00:08Z",
		100: "from these none before 2026-11-28T12:05:58Z",
	} {
		if got := attempts(store.Failures{Count: count, Last: now.Add(-2 * time.Second)}, now); !strings.HasSuffix(got, "; "+want) {
			t.Errorf("%d: %s", count, got)
		}
	}
	if got := attempts(store.Failures{Count: 20, Last: now.Add(-time.Minute)}, now); !strings.HasSuffix(got, "; further ones wait for one another") {
		t.Error(got)
	}
}

package token

import (
	"strconv"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Accepted reports whether a request of the user is accepted while nothing of theirs ended.
func Accepted(u identity.User) bool {
	_, err := accept(&store.Bearer{User: u}, false, nil)
	return err == nil
}

// OpenSuccessor opens a sealed successor with a text that may be the used token.
func OpenSuccessor(presented, id, sealed string) (string, error) {
	d, err := repeat(presented, store.Successor{ID: id, Sealed: sealed})
	return d.refresh, err
}

// Buckets returns the most buckets that n families have had, each of which rotates
// once, with that time between them.
func Buckets(now time.Time, n int, between time.Duration) (most int) {
	r := newRotations(1000, 0)
	for i := range n {
		r.took("u", strconv.Itoa(i), "app", now)
		now = now.Add(between)
		most = max(most, len(r.full))
	}
	return most
}

// AsksAfter reports whether a rotation costs a read after a client has rotated n tokens of
// a user, each of another family.
func AsksAfter(now time.Time, perFamily, families, n int) bool {
	r := newRotations(perFamily, families)
	for i := range n {
		r.took("u", strconv.Itoa(i), "app", now)
	}
	return r.permit("other", now) != nil
}

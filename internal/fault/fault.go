// Package fault is the one error that crosses packages: what kind of refusal it
// is, the sentence that may be shown to a user, and the cause that may not.
//
// It owns the kinds and the stable codes' carrier. It does not know HTTP: the
// edge (httpapi, cmd) maps a Kind to a status or an exit code. Every package
// above it returns its errors.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what a caller may do about an error. The zero Kind is Internal, so
// an unclassified error never leaves the server as anything else.
type Kind uint8

// The kinds. Each is the reason, never the HTTP status.
const (
	Internal        Kind = iota // a defect or an accident of ours; details stay in the log
	Invalid                     // the request can never succeed as it is
	Unauthenticated             // no valid credential, or one of a user that may not sign in
	Forbidden                   // the caller is known and lacks the permission
	NotFound                    // it does not exist, or not for this caller
	Conflict                    // it collides with something that exists
	Gone                        // it existed and has ended
	Throttled                   // too many at once; a later try may succeed
	Unavailable                 // a dependency does not answer; a later try may succeed
)

// Field is what is wrong with one field of a request. Whether that field came
// in a body, a query or a path only the edge knows, which adds it.
type Field struct {
	Name    string // as the client calls it, such as "email" or "limit"
	Message string // a sentence that never holds the submitted value
}

// Error is a classified refusal.
type Error struct {
	Kind       Kind
	Code       string        // stable snake_case code for programs; empty: the edge names the kind
	Message    string        // a sentence for users, safe to show; never a submitted value
	Fields     []Field       // single faults of an Invalid request; nil: none
	RetryAfter time.Duration // for Throttled and Unavailable; zero: the edge's default
	Limit      Limit         // for Throttled; zero: none that has a number
	Cause      error         // for the log only; nil: none
}

// Limit is what a Throttled error tells a client about the limit that it has reached.
type Limit struct {
	Name   string
	Quota  int           // so many are free
	Window time.Duration // in this time
}

// New returns an Error without a cause.
func New(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// Wrap returns an Error that keeps cause for the log.
func Wrap(kind Kind, code, message string, cause error) *Error {
	return &Error{Kind: kind, Code: code, Message: message, Cause: cause}
}

// BadField returns the Invalid error of one faulty field of a request.
func BadField(name, message string) *Error {
	return &Error{
		Kind: Invalid, Code: "validation_failed", Message: message,
		Fields: []Field{{Name: name, Message: message}},
	}
}

// Error is the text for the log, cause included; it is not for clients.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.Cause)
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is an Error of the same kind and code, so that a
// package variable works with errors.Is after a cause was added.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Kind == e.Kind && t.Code == e.Code
}

// KindOf returns the kind of the first Error in err's chain, Internal when
// there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

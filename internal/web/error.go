package web

import (
	"net/http"
	"strconv"
)

// Error is a refusal that comes from HTTP itself. A Group's Refuse gives it the
// form of its protocol.
type Error struct {
	Status int
	Code   string // stable snake_case word for programs
	Detail string // a sentence that may be shown
}

// Error implements error.
func (e *Error) Error() string { return e.Detail }

// The refusals of the router.
var (
	ErrNotFound         = &Error{http.StatusNotFound, "not_found", "there is nothing at this address"}
	errMethodNotAllowed = &Error{http.StatusMethodNotAllowed, "method_not_allowed", "this address does not have that method"}
	errCrossOrigin      = &Error{http.StatusForbidden, "cross_origin", "this request came from a page of another site"}
	errPanic            = &Error{http.StatusInternalServerError, "internal_error", "something went wrong on our side"}
)

func errTooLarge(limit int64) error {
	return &Error{http.StatusRequestEntityTooLarge, "body_too_large", "the request body is larger than " + strconv.FormatInt(limit>>10, 10) + " KiB"}
}

func errMediaType(media string) error {
	return &Error{http.StatusUnsupportedMediaType, "unsupported_media_type", "the request body must be " + media + " in UTF-8: say so in the header Content-Type"}
}

package web

import (
	"net/http"
	"strconv"
)

// Error is an error of the HTTP layer. The Refuse of a Group writes it in the form
// of its protocol.
type Error struct {
	Status int
	Code   string // stable snake_case code for programs
	Detail string // a sentence that may be shown to users
}

// Error implements error.
func (e *Error) Error() string { return e.Detail }

// The errors of the router.
var (
	ErrNotFound         = &Error{http.StatusNotFound, "not_found", "no resource at this address"}
	errMethodNotAllowed = &Error{http.StatusMethodNotAllowed, "method_not_allowed", "this address does not support the method"}
	errCrossOrigin      = &Error{http.StatusForbidden, "cross_origin", "the request came from a page of another site"}
	errHostOfRoute      = &Error{http.StatusMisdirectedRequest, "unknown_host", "this is served to localhost, loopback addresses and the host of auth.issuer only: use one of these as the host name, or set server.metrics_listen"}
	errHost             = &Error{http.StatusMisdirectedRequest, "unknown_host", "while an administrator has the default password, only localhost, loopback addresses and the host of auth.issuer are served: change the password with pico-auth user reset-password, or use one of these as the host name"}
	errNoMemory         = &Error{http.StatusServiceUnavailable, "unavailable", "too many request bodies are being sent; please try again"}
	errPanic            = &Error{http.StatusInternalServerError, "internal_error", "internal server error"}
)

func errTooLarge(limit int64) error {
	return &Error{http.StatusRequestEntityTooLarge, "body_too_large", "the request body is larger than " + strconv.FormatInt(limit>>10, 10) + " KiB"}
}

func errMediaType(media string) error {
	return &Error{http.StatusUnsupportedMediaType, "unsupported_media_type", "the request body must be " + media + " in UTF-8; set the header Content-Type"}
}

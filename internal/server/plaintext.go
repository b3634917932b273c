package server

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"

	"github.com/pico-auth/pico-auth/internal/httpapi"
)

// What net/http writes where a request is too broken for a handler. Over TLS it is
// encrypted before it comes here, and stays as it is: net/http speaks HTTP/2 with a tls.Conn
// only, which nothing can stand in front of. What it writes there is a status and a
// constant, and says nothing of this server.
const (
	plainHeader = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	plainToTLS  = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
)

// Write implements net.Conn. It replaces a response of net/http's own by a problem
// document, as every other refusal has.
func (c *conn) Write(p []byte) (int, error) {
	if c.handled.Load() {
		return c.Conn.Write(p)
	}
	problem := problemInstead(p)
	if problem == nil {
		return c.Conn.Write(p)
	}
	if _, err := c.Conn.Write(problem); err != nil {
		return 0, err
	}
	return len(p), nil
}

// problemInstead returns the response to send instead of one that no handler has
// written; nil: p is none.
func problemInstead(p []byte) []byte {
	if len(p) < len("HTTP/1.1 400 ") || !bytes.HasPrefix(p, []byte("HTTP/1.")) {
		return nil
	}
	status, err := strconv.Atoi(string(p[len("HTTP/1.1 "):len("HTTP/1.1 400")]))
	_, reason, isPlain := bytes.Cut(p, []byte(plainHeader))
	switch {
	case err != nil:
		return nil
	case string(p) == plainToTLS:
		return problemResponse(status, "bad_request", "this port speaks https: use https:// in the address")
	case status == http.StatusExpectationFailed:
		return problemResponse(status, "expectation_failed", "the only supported Expect is 100-continue")
	case !isPlain:
		return nil
	case status == http.StatusRequestHeaderFieldsTooLarge:
		return problemResponse(status, "header_too_large", "the header of the request is larger than "+strconv.Itoa(maxHeaderBytes>>10)+" KiB")
	case status == http.StatusNotImplemented:
		return problemResponse(status, "not_implemented", "the only supported Transfer-Encoding is chunked")
	case status == http.StatusHTTPVersionNotSupported:
		return problemResponse(status, "http_version_not_supported", "the version of HTTP is not supported")
	case status == http.StatusBadRequest:
		detail := "this is not a request of HTTP"
		if _, why, known := bytes.Cut(reason, []byte(": ")); known {
			detail += ": " + string(why) // a constant of net/http
		}
		return problemResponse(status, "bad_request", detail)
	}
	return nil
}

func problemResponse(status int, code, detail string) []byte {
	body := httpapi.ProblemDocument(status, code, detail)
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(body), body)
}

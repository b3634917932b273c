package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

// maxBody is the longest request body, in bytes.
const maxBody = 64 << 10

// body says what a route expects as its request body.
type body uint8

const (
	noBody       body = iota // whatever comes is not read
	jsonBody                 // one JSON document
	optionalBody             // one JSON document or nothing at all
)

// readBody reads and checks the body of r. With bare, a document that is a
// JSON string stands for an object with that one member.
func readBody(w http.ResponseWriter, r *http.Request, kind body, bare string) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, errTooLarge()
	}
	if kind == jsonBody || r.ContentLength > 0 {
		if err := checkContentType(r.Header); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge()
	case err != nil:
		w.Header().Set("Connection", "close")
		return nil, newProblem(http.StatusBadRequest, "incomplete_body", "the request body did not arrive whole")
	case len(data) == 0 && kind == optionalBody:
		return nil, nil
	case len(data) == 0:
		return nil, newProblem(http.StatusBadRequest, "malformed_json", "the request body is empty")
	}
	if err := checkContentType(r.Header); err != nil {
		return nil, err
	}
	if err := checkJSON(data); err != nil {
		return nil, newProblem(http.StatusBadRequest, "malformed_json", err.Error())
	}
	return unwrap(data, bare), nil
}

func errTooLarge() error {
	return newProblem(http.StatusRequestEntityTooLarge, "body_too_large", "the request body is larger than 64 KiB")
}

// checkContentType wants application/json, said once, in UTF-8 if it says an
// encoding at all, and not compressed.
func checkContentType(h http.Header) error {
	refusal := newProblem(http.StatusUnsupportedMediaType, "unsupported_media_type",
		"the request body must be application/json in UTF-8: say so in the header Content-Type")
	if len(h["Content-Type"]) != 1 || len(h["Content-Encoding"]) != 0 {
		return refusal
	}
	value := h["Content-Type"][0]
	if value == "application/json" {
		return nil
	}
	media, params, err := mime.ParseMediaType(value)
	if err != nil || media != "application/json" {
		return refusal
	}
	for name, param := range params {
		if name != "charset" || !strings.EqualFold(param, "utf-8") {
			return refusal
		}
	}
	return nil
}

// unwrap lets "abc" stand for {"name": "abc"}, as the original had it on the
// endpoints that take a single value.
func unwrap(data []byte, name string) []byte {
	data = bytes.TrimLeft(data, " \t\r\n")
	if name == "" || data[0] != '"' {
		return data
	}
	member, err := json.Marshal(name)
	if err != nil {
		panic(err) // a string
	}
	return bytes.Join([][]byte{[]byte("{"), member, []byte(":"), data, []byte("}")}, nil)
}

// bodyOf is a request body that has been read and checked.
func bodyOf(data []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }

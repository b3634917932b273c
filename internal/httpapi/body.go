package httpapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"github.com/pico-auth/pico-auth/internal/web"
)

// body says what request body a route expects.
type body uint8

const (
	noBody       body = iota // the body is not read
	jsonBody                 // one JSON document
	optionalBody             // one JSON document or nothing
)

// maxBody is the longest body of the route: a caller without a user's credential may
// send little.
func (rt *route) maxBody() int64 {
	switch {
	case rt.body == noBody:
		return 0
	case rt.Access == web.Anonymous, rt.Access == web.UserOrRefresh:
		return web.SmallBody
	default:
		return web.LargeBody
	}
}

// readBody reads and checks the body of r. With bare, a document that is a
// JSON string stands for an object with that one field.
func readBody(w http.ResponseWriter, r *http.Request, kind body, bare string) ([]byte, error) {
	data, err := web.ReadBody(w, r, "application/json", kind == jsonBody)
	switch {
	case err != nil:
		return nil, err
	case len(data) == 0 && kind == optionalBody:
		return nil, nil
	case len(data) == 0:
		return nil, newProblem(http.StatusBadRequest, "malformed_json", "the request body is empty")
	}
	if err := checkJSON(data); err != nil {
		return nil, newProblem(http.StatusBadRequest, "malformed_json", err.Error())
	}
	return unwrap(data, bare), nil
}

// unwrap lets "abc" stand for {"name": "abc"}, as in the original for the
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

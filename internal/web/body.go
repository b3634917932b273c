package web

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The longest bodies that routes declare, in bytes.
const (
	SmallBody = 4 << 10  // of routes that anyone may call
	LargeBody = 64 << 10 // of routes with an authenticated caller
)

// maxAnonymous bounds what a route without an authenticated caller may declare: the
// form of a request that carries another signed request.
const maxAnonymous = 16 << 10

// A sender of a body must keep up with minRate after a while, and be done in the end.
const (
	senderStarts = 5 * time.Second
	senderEnds   = 15 * time.Second
	minRate      = 1 << 10 // bytes a second
)

// The memory of all bodies, from their first byte until the request ends, and the
// part of it that the clients of one network may have.
const (
	bodyMemory = 8 << 20
	bodyShare  = bodyMemory / 4
)

// ReadBody reads the request's body, which must be of the media type and at most as
// long as the route declares. Without required, an empty one needs no Content-Type.
func ReadBody(w http.ResponseWriter, r *http.Request, media string, required bool) ([]byte, error) {
	b, _ := r.Body.(*body)
	if b != nil && r.ContentLength > b.limit {
		return nil, errTooLarge(b.limit)
	}
	// A body with another media type is not read.
	if required || r.ContentLength > 0 {
		if err := checkContentType(r.Header, media); err != nil {
			return nil, err
		}
	}
	if b == nil {
		return nil, nil
	}
	if !b.reserve() {
		return nil, errNoMemory
	}
	data := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead))
	_, err := data.ReadFrom(b)
	if e, ok := errors.AsType[*Error](err); ok {
		return nil, e
	}
	if err != nil {
		w.Header().Set("Connection", "close")
		return nil, &Error{http.StatusBadRequest, "incomplete_body", "the request body is incomplete"}
	}
	if data.Len() > 0 && !required {
		return data.Bytes(), checkContentType(r.Header, media)
	}
	return data.Bytes(), nil
}

// body is a request's body with the limits of its route.
type body struct {
	io.ReadCloser
	limit   int64
	size    int64 // that it has at most
	intake  *intake
	network string // empty: it may take all the memory
	control *http.ResponseController
	start   time.Time

	taken, read int64
}

// limitBody lets the handler of a route with a body read it within the limits. The
// caller calls giveBack at the end of the request.
func (rt *Router) limitBody(w http.ResponseWriter, r *http.Request, limit int64) *body {
	facts := FactsOf(r.Context())
	b := &body{
		ReadCloser: r.Body, limit: limit, size: limit, intake: &rt.intake, network: facts.Network,
		control: http.NewResponseController(w), start: time.Now(),
	}
	if r.ContentLength > 0 {
		b.size = min(r.ContentLength, limit)
	}
	if facts.UnknownProxy {
		b.network = ""
	}
	r.Body = b
	return b
}

// hurry gives the sender of a body its first deadline, whether a handler reads the
// body or net/http discards it.
func hurry(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(senderStarts)) // an error: there is no connection
}

// reserve takes memory for the whole body, once.
func (b *body) reserve() bool {
	if b.taken == 0 && b.intake.take(b.network, b.size) {
		b.taken = b.size
	}
	return b.taken > 0
}

func (b *body) giveBack() { b.intake.give(b.network, b.taken) }

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if !b.reserve() {
		return 0, errNoMemory
	}
	if left := b.limit + 1 - b.read; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := b.ReadCloser.Read(p)
	before := b.read / minRate
	b.read += int64(n)
	switch {
	case b.read > b.limit:
		return n, errTooLarge(b.limit)
	case err == io.EOF:
		// A deadline would end the request's context while net/http waits for the next one.
		_ = b.control.SetReadDeadline(time.Time{})
	case b.read/minRate > before:
		earned := time.Duration(b.read/minRate) * time.Second
		_ = b.control.SetReadDeadline(b.start.Add(min(senderStarts+earned, senderEnds)))
	}
	return n, err
}

// intake is the memory for bodies.
type intake struct {
	mu       sync.Mutex
	taken    int64
	networks map[string]int64 // without those that have none
}

// take reports whether there are n bytes for a client of the network.
func (i *intake) take(network string, n int64) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.taken+n > bodyMemory || network != "" && i.networks[network]+n > bodyShare {
		return false
	}
	i.taken += n
	i.networks[network] += n
	return true
}

func (i *intake) give(network string, n int64) {
	if n == 0 {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.taken -= n
	if i.networks[network] -= n; i.networks[network] == 0 {
		delete(i.networks, network)
	}
}

// checkContentType requires exactly one Content-Type with the media type and, if it
// has a charset, UTF-8, and no Content-Encoding.
func checkContentType(h http.Header, media string) error {
	if len(h["Content-Type"]) != 1 || len(h["Content-Encoding"]) != 0 {
		return errMediaType(media)
	}
	value := h["Content-Type"][0]
	if value == media {
		return nil
	}
	got, params, err := mime.ParseMediaType(value)
	if err != nil || got != media {
		return errMediaType(media)
	}
	for name, param := range params {
		if name != "charset" || !strings.EqualFold(param, "utf-8") {
			return errMediaType(media)
		}
	}
	return nil
}

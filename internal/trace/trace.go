// Package trace reads the W3C Trace Context of a request (https://www.w3.org/TR/trace-context/),
// so that the log records of a request, and the requests that this server makes because of it,
// name the trace that the caller is recording.
//
// The server records no spans: it passes on what it was given and makes no trace of its own. web
// reads the headers, store keeps them with what is delivered later, outbound sends them.
package trace

import (
	"context"
	"encoding/hex"
	"regexp"
	"strings"
)

// Context is the trace context of a request. The zero value is none.
type Context struct {
	Parent string // the header traceparent to pass on; empty: none
	State  string // the header tracestate to pass on; optional
}

// Lengths in the header traceparent, Trace Context 3.2.2.
const (
	beginID     = len("00-")
	endID       = beginID + 32
	endParent   = endID + len("-") + 16
	parentLen   = endParent + len("-") + 2
	knownFlags  = 0x03 // sampled, and of level 2 random
	maxState    = 512  // Trace Context 3.3.1.5: at least so many characters are passed on
	maxMembers  = 32   // Trace Context 3.3.1.1
	nextVersion = 0xff // Trace Context 3.2.2.1: it is not a version
)

// member is an entry of tracestate, Trace Context 3.3.1.3, of any length: a limit would make
// the pattern take a millisecond of each start.
var member = regexp.MustCompile(`^[a-z0-9][a-z0-9_\-*/@]*=[\x20-\x2b\x2d-\x3c\x3e-\x7e]*[\x21-\x2b\x2d-\x3c\x3e-\x7e]$`)

// isMember reports whether s is an entry of tracestate.
func isMember(s string) bool {
	key, value, _ := strings.Cut(s, "=")
	return len(key) <= 256 && len(value) <= 256 && member.MatchString(s)
}

// Parse returns the context of the values of the headers traceparent and tracestate; the
// zero Context when there is no valid one. Of a later version it understands what version
// 00 has, and passes that on.
func Parse(parents, states []string) Context {
	if len(parents) != 1 {
		return Context{}
	}
	p := parents[0]
	if len(p) < parentLen || p[beginID-1] != '-' || p[endID] != '-' || p[endParent] != '-' {
		return Context{}
	}
	version, flags := octet(p[:2]), octet(p[endParent+1:parentLen])
	switch {
	case version < 0 || version == nextVersion || flags < 0:
		return Context{}
	case len(p) > parentLen && (version == 0 || p[parentLen] != '-'):
		return Context{}
	case !isID(p[beginID:endID]) || !isID(p[endID+1:endParent]):
		return Context{}
	}
	return Context{
		Parent: "00-" + p[beginID:endParent] + "-" + hex.EncodeToString([]byte{byte(flags & knownFlags)}),
		State:  state(states),
	}
}

// octet is the value of two lower-case hexadecimal digits; -1: they are none.
func octet(s string) int {
	b, err := hex.DecodeString(s)
	if err != nil || strings.ToLower(s) != s {
		return -1
	}
	return int(b[0])
}

// isID reports whether s is lower-case hexadecimal and not all zeros.
func isID(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == "" && strings.Trim(s, "0") != ""
}

// state is the one value of the headers tracestate, Trace Context 3.3; empty when they are
// not valid or longer than must be passed on.
func state(values []string) string {
	joined := strings.Join(values, ",")
	if len(joined) > maxState { // before its members are examined: a header may have thousands
		return ""
	}
	members := 0
	for part := range strings.SplitSeq(joined, ",") {
		switch part = strings.Trim(part, " \t"); {
		case part == "":
		case !isMember(part):
			return ""
		default:
			members++
		}
	}
	if members == 0 || members > maxMembers {
		return ""
	}
	return joined
}

// ID is the trace id; empty: there is no trace.
func (c Context) ID() string {
	if c.Parent == "" {
		return ""
	}
	return c.Parent[beginID:endID]
}

type key struct{}

// With returns a context that carries c; ctx itself when c is zero.
func With(ctx context.Context, c Context) context.Context {
	if c == (Context{}) {
		return ctx
	}
	return context.WithValue(ctx, key{}, c)
}

// From returns the trace context that ctx carries.
func From(ctx context.Context) Context {
	c, _ := ctx.Value(key{}).(Context)
	return c
}

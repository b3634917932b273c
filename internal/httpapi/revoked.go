package httpapi

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/web"
)

// compactSeconds is how often expired tokens leave the list.
const compactSeconds = 60

// revalidatePrivate is revalidate for a response that needs a credential.
var revalidatePrivate = []string{"private, no-cache"}

// RevokedList lists the revoked access tokens; with format=sessions, what changed
// since a version.
type RevokedList struct {
	Items []RevokedToken `json:"items,omitempty" nullable:"false" doc:"Without format."`

	Sessions []RevokedSession      `json:"sessions,omitempty" nullable:"false" doc:"With format=sessions: all access tokens of these are revoked."`
	Tokens   []RevokedSessionToken `json:"tokens,omitempty" nullable:"false" doc:"With format=sessions: revoked access tokens of sessions that have others."`
	Version  string                `json:"version,omitempty" doc:"With format=sessions: the state of the list." example:"1764230400000000"`
	Next     string                `json:"next,omitempty" doc:"With format=sessions: the since of the next request." example:"1764230370000000"`
}

// RevokedToken is one revoked access token.
type RevokedToken struct {
	JTI string `json:"jti" doc:"Its claim jti." example:"01981b62-1d3e-7f0a-9b7c-64d0e8f1a2b3"`
}

// RevokedSession is a session of which every access token is revoked.
type RevokedSession struct {
	ID    string `json:"sid" doc:"The claim sid." example:"01981b62-1d3e-7f0a-9b7c-64d0e8f1a2b3"`
	Until int64  `json:"until" doc:"From then on none of them is valid any more, in seconds since 1970." example:"1764231360"`
}

// RevokedSessionToken is a revoked access token of a session that has others.
type RevokedSessionToken struct {
	JTI   string `json:"jti" doc:"Its claim jti." example:"01981b62-1d3e-7f0a-9b7c-64d0e8f1a2b3"`
	Until int64  `json:"until" doc:"From then on it is not valid any more, in seconds since 1970." example:"1764231360"`
}

// revokedLists is the list of revoked tokens in both forms, rendered: 100,000 tokens
// cost a request as little as one. A response is a part of a buffer that is only
// appended to.
type revokedLists struct {
	feed *token.Revocations

	mu    sync.Mutex        // held while changing what follows
	known map[digest]uint32 // until when, in seconds since 1970
	sum   [2]uint64         // of the digests: the entity tag, the same on each replica
	lists revoked

	compacted atomic.Int64 // the last time, in seconds since 1970
	current   atomic.Pointer[revoked]
}

// digest stands for the id of a token, in a third of the memory.
type digest [16]byte

func digestOf(jti string) digest {
	sum := sha256.Sum256([]byte(jti))
	return digest(sum[:16])
}

// revoked is one state of the lists.
type revoked struct {
	tag                     string
	version                 int64 // when the latest of them ended, in microseconds since 1970
	items, sessions, tokens roll
}

func newRevokedLists(feed *token.Revocations) *revokedLists {
	l := &revokedLists{feed: feed, known: map[digest]uint32{}}
	l.publish()
	return l
}

// state returns the lists as they are now.
func (l *revokedLists) state(r *http.Request) (*revoked, error) {
	if err := l.feed.Update(r.Context(), l.add); err != nil {
		return nil, err
	}
	if now := l.feed.Now().Unix(); now-l.compacted.Load() >= compactSeconds && l.mu.TryLock() {
		l.compact(now)
		l.mu.Unlock()
	}
	return l.current.Load(), nil
}

// add adds tokens that are not known yet.
func (l *revokedLists) add(part []token.Revocation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sessions := map[string]*token.Revocation{}
	var ids []string
	for _, r := range part {
		d := digestOf(r.JTI)
		if _, known := l.known[d]; known {
			continue
		}
		l.known[d] = unixSeconds(r.Until)
		l.count(d, 1)
		l.lists.version = max(l.lists.version, r.At.UnixMicro())
		l.lists.items.add(l.lists.version, r.Until, RevokedToken{r.JTI})
		switch of := sessions[r.SessionID]; {
		case !r.Session:
			l.lists.tokens.add(l.lists.version, r.Until, RevokedSessionToken{r.JTI, r.Until.Unix()})
		case of == nil:
			sessions[r.SessionID] = &r
			ids = append(ids, r.SessionID)
		case of.Until.Before(r.Until):
			of.Until = r.Until
		}
	}
	for _, id := range ids {
		l.lists.sessions.add(l.lists.version, sessions[id].Until, RevokedSession{id, sessions[id].Until.Unix()})
	}
	l.publish()
}

// compact removes the expired tokens.
func (l *revokedLists) compact(now int64) {
	l.compacted.Store(now)
	before := len(l.known)
	for d, until := range l.known {
		if int64(until) <= now {
			delete(l.known, d)
			l.count(d, -1)
		}
	}
	if len(l.known) == before {
		return
	}
	for _, list := range []*roll{&l.lists.items, &l.lists.sessions, &l.lists.tokens} {
		*list = list.without(now)
	}
	l.publish()
}

// count adds a digest to the sum, or takes it away: the sum does not depend on the
// order, which differs between replicas.
func (l *revokedLists) count(d digest, sign int64) {
	for i := range l.sum {
		l.sum[i] += uint64(sign) * binary.BigEndian.Uint64(d[8*i:]) //nolint:gosec // modulo 2^64
	}
}

func (l *revokedLists) publish() {
	state := l.lists
	state.tag = fmt.Sprintf("%016x%016x", l.sum[0], l.sum[1])
	l.current.Store(&state)
}

// roll is the elements of a JSON array, each after a comma, in the order in which
// they were added.
type roll struct {
	text  []byte
	marks []mark
}

// mark is one element.
type mark struct {
	version int64  // of the list that had it first
	until   uint32 // in seconds since 1970
	end     uint32 // in the text
}

// unixSeconds is a time in seconds since 1970.
func unixSeconds(t time.Time) uint32 { return uint32(max(t.Unix(), 0)) } //nolint:gosec // good until 2106

func (r *roll) add(version int64, until time.Time, element any) {
	text, err := json.Marshal(element)
	if err != nil {
		panic(err) // texts and numbers
	}
	r.text = append(append(r.text, ','), text...)
	r.marks = append(r.marks, mark{version, unixSeconds(until), uint32(len(r.text))}) //nolint:gosec // far below 4 GB
}

// since returns the elements that were added after the version, without a comma
// before the first.
func (r *roll) since(version int64) []byte {
	i, _ := slices.BinarySearchFunc(r.marks, version, func(m mark, v int64) int {
		if m.version <= v {
			return -1
		}
		return 1
	})
	return r.from(i)
}

func (r *roll) from(i int) []byte {
	start := 0
	if i > 0 {
		start = int(r.marks[i-1].end)
	}
	return r.text[min(start+1, len(r.text)):]
}

// without returns a copy without what has expired.
func (r *roll) without(now int64) roll {
	var kept roll
	start := uint32(0)
	for _, m := range r.marks {
		if int64(m.until) > now {
			kept.text = append(kept.text, r.text[start:m.end]...)
			kept.marks = append(kept.marks, mark{m.version, m.until, uint32(len(kept.text))}) //nolint:gosec // as above
		}
		start = m.end
	}
	return kept
}

// revokedQuery are the parameters of the list.
var revokedQuery = []string{"format", "since"}

// serveRevoked serves the list as the original did, or the changes since a version
// for picoauth.
func (a *API) serveRevoked(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	since, badSince := parseVersion(query.Get("since"))
	var badFormat error
	if format := query.Get("format"); format != "" && format != "sessions" {
		badFormat = fault.BadField("format", "format must be sessions")
	}
	if err := cmp.Or(badFormat, badSince); err != nil {
		writeProblem(w, a.refuse(r.Context(), &route{query: revokedQuery}, err))
		return
	}
	state, err := a.revoked().state(r)
	if err != nil {
		a.refuseWith(w, r, err)
		return
	}
	if !query.Has("format") {
		web.ServeTagged(w, r, "application/json", state.tag, revalidatePrivate, []byte(`{"items":[`), state.items.from(0), []byte("]}\n"))
		return
	}
	next := max(0, state.version-token.RevocationsOverlap.Microseconds())
	web.ServeTagged(w, r, "application/json", state.tag, revalidatePrivate,
		[]byte(`{"sessions":[`), state.sessions.since(since), []byte(`],"tokens":[`), state.tokens.since(since),
		fmt.Appendf(nil, "],\"version\":\"%d\",\"next\":\"%d\"}\n", state.version, next))
}

func parseVersion(text string) (int64, error) {
	if text == "" {
		return -1, nil
	}
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil || version < 0 {
		return 0, fault.BadField("since", "since must be the next of an earlier response")
	}
	return version, nil
}

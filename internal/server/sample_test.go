package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"
)

// logLines are the records of a log in JSON, by message; counts are summed.
func logLines(t *testing.T, log []byte) (lines map[string]int, suppressed map[string]int) {
	t.Helper()
	lines, suppressed = map[string]int{}, map[string]int{}
	for in := bufio.NewScanner(bytes.NewReader(log)); in.Scan(); {
		var r struct {
			Msg, Message, Client string
			Count                int
		}
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v", in.Text(), err)
		}
		lines[r.Msg]++
		suppressed[r.Message+" "+r.Client] += r.Count
	}
	return lines, suppressed
}

func request(log *slog.Logger, client string, status int) {
	log.Info("request", "request_id", "x", "method", "GET", "route", "GET /docs", "status", status, "ms", 0.1, "bytes", 10, "client", client)
}

// A flood leaves a bounded number of lines, and their sum is exact.
func TestFloodOfOneKindIsSampledAndCounted(t *testing.T) {
	var out bytes.Buffer
	now := time.Now()
	log := slog.New(newSampler(slog.NewJSONHandler(&out, nil), func() time.Time { return now }))
	const seconds, perSecond = 5, 16_000
	for range seconds {
		for range perSecond {
			request(log, "198.51.100.7", 429)
		}
		for range 10 {
			request(log, "203.0.113.9", 200) // another client
			request(log, "198.51.100.7", 200)
			log.Warn("login", "audit", true, "outcome", "refused", "address", "198.51.100.7")
			log.Error("panic", "error", "x")
		}
		for range perSecond {
			log.Warn("login", "audit", true, "outcome", "refused", "address", "198.51.100.8")
			log.Error("request failed", "error", "disk full")
		}
		now = now.Add(samplePeriod)
	}
	log.Error("end")
	log.Info("begin") // ends the last period
	lines, suppressed := logLines(t, out.Bytes())
	want := map[string]int{
		"request": seconds * (passPerKind + 20), "login": seconds * (passPerKind + 10), "panic": seconds * 10,
		"request failed": seconds * perSecond, "suppressed": seconds * 2, "end": 1, "begin": 1,
	}
	if fmt.Sprint(lines) != fmt.Sprint(want) {
		t.Errorf("lines %v, want %v", lines, want)
	}
	for kind, n := range map[string]int{"request 198.51.100.7": seconds * (perSecond - passPerKind), "login 198.51.100.8": seconds * (perSecond - passPerKind)} {
		if suppressed[kind] != n {
			t.Errorf("%s: %d suppressed, want %d", kind, suppressed[kind], n)
		}
	}
}

// Clients without number share what passes of one message, and memory is bounded.
func TestFloodOfManyClientsIsSampledAndCounted(t *testing.T) {
	var out bytes.Buffer
	now := time.Now()
	s := newSampler(slog.NewJSONHandler(&out, nil), func() time.Time { return now })
	log := slog.New(s).With("replica", 1).WithGroup("")
	const clients, each = 3000, 4
	for i := range clients * each {
		request(log, fmt.Sprint("client ", i%clients), 200)
	}
	if len(s.kinds) > maxKinds+1 {
		t.Errorf("%d kinds are kept", len(s.kinds))
	}
	s.report(true)
	lines, suppressed := logLines(t, out.Bytes())
	var sum int
	for _, n := range suppressed {
		sum += n
	}
	if lines["request"] != passPerMessage || lines["request"]+sum != clients*each || lines["suppressed"] > maxKinds+1 {
		t.Errorf("%v and %d suppressed of %d", lines, sum, clients*each)
	}
}

// 600 requests a minute of one kind from one address are a normal load.
func TestNormalLoadIsLoggedWhole(t *testing.T) {
	var out bytes.Buffer
	now := time.Now()
	log := slog.New(newSampler(slog.NewJSONHandler(&out, nil), func() time.Time { return now }))
	for range 600 {
		request(log, "203.0.113.9", 200)
		now = now.Add(100 * time.Millisecond)
	}
	if lines, _ := logLines(t, out.Bytes()); lines["request"] != 600 || lines["suppressed"] != 0 {
		t.Errorf("%v", lines)
	}
}

// Through the log of the program, with concurrent writers, nothing is lost uncounted.
func TestLogOfTheProgramCountsAFloodExactly(t *testing.T) {
	var out bytes.Buffer
	l := NewLogger(&out, false)
	const writers, each = 8, 5000
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				request(l.Logger, "198.51.100.7", 401)
			}
		})
	}
	all.Wait()
	l.Close()
	lines, suppressed := logLines(t, out.Bytes())
	if got := lines["request"] + suppressed["request 198.51.100.7"]; got != writers*each {
		t.Errorf("%d records are accounted for, want %d: %v", got, writers*each, lines)
	}
	if lines["suppressed"] == 0 {
		t.Error("nothing was suppressed")
	}
}

func BenchmarkLogOfAFlood(b *testing.B) {
	l := NewLogger(&discard{}, false)
	defer l.Close()
	for b.Loop() {
		request(l.Logger, "198.51.100.7", 401)
	}
}

type discard struct{}

func (*discard) Write(p []byte) (int, error) { return len(p), nil }

// Clients that speak no TLS leave a line each at log.level debug, with their port.
func TestFloodOfFaultyConnectionsIsSampled(t *testing.T) {
	var out bytes.Buffer
	now := time.Now()
	s := newSampler(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}), func() time.Time { return now })
	log := connectionFaults(slog.New(s))
	for port := range 5000 {
		log.Printf("http: TLS handshake error from 198.51.100.7:%d: EOF\n", port)
	}
	s.report(true)
	lines, suppressed := logLines(t, out.Bytes())
	if lines["connection"] != passPerKind || suppressed["connection "] != 5000-passPerKind {
		t.Errorf("%v and %v suppressed", lines, suppressed)
	}
}

// A message that has what a client chose in it takes no memory and no disk without bound.
func TestFloodOfMessagesThatDifferIsSampled(t *testing.T) {
	var out bytes.Buffer
	now := time.Now()
	s := newSampler(slog.NewJSONHandler(&out, nil), func() time.Time { return now })
	log := slog.New(s)
	const all = 16_000
	for n := range all {
		log.Info(fmt.Sprint("message ", n))
	}
	if len(s.kinds) > 2*maxKinds+1 || len(s.messages) > 2*maxKinds+1 {
		t.Errorf("%d kinds and %d messages are kept", len(s.kinds), len(s.messages))
	}
	s.report(true)
	if lines := bytes.Count(out.Bytes(), []byte("\n")); lines > 2*maxKinds+passPerKind+1 {
		t.Errorf("%d lines", lines)
	}
}

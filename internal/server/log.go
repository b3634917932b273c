package server

import (
	"bufio"
	"context"
	"io"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/trace"
)

// flushEvery bounds how long a record may wait in the buffer.
const flushEvery = 200 * time.Millisecond

// Logger is a structured log with a buffer: a write per request would cost more
// than the work of the request. Warnings and errors are written at once. Of a flood
// of records, a sample is written.
type Logger struct {
	*slog.Logger
	level  *slog.LevelVar
	sample *sampler
	out    *logBuffer
	stop   chan struct{}
	done   chan struct{}
}

// NewLogger logs to w, as text or as JSON. Close writes the buffered records.
func NewLogger(w io.Writer, text bool) *Logger {
	buf := &logBuffer{under: w, w: bufio.NewWriterSize(w, 64<<10)}
	level := new(slog.LevelVar)
	var h slog.Handler = slog.NewJSONHandler(buf, &slog.HandlerOptions{Level: level})
	if text {
		h = slog.NewTextHandler(buf, &slog.HandlerOptions{Level: level})
	}
	sampled := newSampler(&flushingHandler{Handler: h, buf: buf}, time.Now)
	l := &Logger{
		Logger: slog.New(sampled),
		level:  level,
		sample: sampled,
		out:    buf,
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	go l.flushLoop()
	return l
}

func (l *Logger) flushLoop() {
	defer close(l.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.sample.report(false)
			l.out.flush()
		case <-l.stop:
			l.sample.report(true)
			l.out.flush()
			return
		}
	}
}

// SetLevel changes the least level of the records that are written, to one of
// log.level. It is info at first.
func (l *Logger) SetLevel(name string) {
	var level slog.Level
	if level.UnmarshalText([]byte(name)) == nil {
		l.level.Set(level)
	}
}

// Close writes the buffer and ends the flushing; later records are written at
// once. It must be called exactly once.
func (l *Logger) Close() {
	close(l.stop)
	<-l.done
	l.out.writeThrough()
}

// connectionFaults is the http.Server.ErrorLog: what clients do wrong before there is a
// request, such as no TLS. Its texts have the client's port, so that as messages each would
// be of a kind of its own, and a flood would be written whole.
func connectionFaults(to *slog.Logger) *log.Logger { return log.New(faultWriter{to}, "", 0) }

type faultWriter struct{ *slog.Logger }

func (w faultWriter) Write(p []byte) (int, error) {
	w.Debug("connection", "detail", strings.TrimSpace(string(p)))
	return len(p), nil
}

type logBuffer struct {
	mu      sync.Mutex
	under   io.Writer
	w       *bufio.Writer
	through bool
}

// Write never fails: a full disk under the log must not stop the server.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.w.Write(p)
	if b.through && err == nil {
		err = b.w.Flush()
	}
	b.reset(err)
	return len(p), nil
}

func (b *logBuffer) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reset(b.w.Flush())
}

// reset drops the records that could not be written: bufio refuses every write
// after its first error, so without it one full disk would end the log.
func (b *logBuffer) reset(err error) {
	if err != nil {
		b.w.Reset(b.under)
	}
}

func (b *logBuffer) writeThrough() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.through = true
}

// flushingHandler writes the buffer after each warning and error.
type flushingHandler struct {
	slog.Handler
	buf *logBuffer
}

func (h *flushingHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.buf.flush()
	}
	return err
}

func (h *flushingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &flushingHandler{Handler: h.Handler.WithAttrs(attrs), buf: h.buf}
}

func (h *flushingHandler) WithGroup(name string) slog.Handler {
	return &flushingHandler{Handler: h.Handler.WithGroup(name), buf: h.buf}
}

// tracedHandler adds the trace of its request to each record.
type tracedHandler struct{ slog.Handler }

func (h tracedHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := trace.From(ctx).ID(); id != "" {
		r.AddAttrs(slog.String("trace_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h tracedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tracedHandler{h.Handler.WithAttrs(attrs)}
}

func (h tracedHandler) WithGroup(name string) slog.Handler {
	return tracedHandler{h.Handler.WithGroup(name)}
}

package server

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// flushEvery bounds how long a record may wait in the buffer.
const flushEvery = 200 * time.Millisecond

// Logger is a structured log behind a buffer: a write a request would cost
// more than the request's own work. Records of warnings and errors are
// written through at once.
type Logger struct {
	*slog.Logger
	out  *logBuffer
	stop chan struct{}
	done chan struct{}
}

// NewLogger logs to w, as text for a person at a terminal, else as JSON.
// Close it to write out what is buffered.
func NewLogger(w io.Writer, terminal bool) *Logger {
	buf := &logBuffer{under: w, w: bufio.NewWriterSize(w, 64<<10)}
	var h slog.Handler = slog.NewJSONHandler(buf, nil)
	if terminal {
		h = slog.NewTextHandler(buf, nil)
	}
	l := &Logger{
		Logger: slog.New(&flushingHandler{Handler: h, buf: buf}),
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
			l.out.flush()
		case <-l.stop:
			l.out.flush()
			return
		}
	}
}

// Close writes out the buffer and ends the flushing; what is logged later is
// written through. It must be called once.
func (l *Logger) Close() {
	close(l.stop)
	<-l.done
	l.out.writeThrough()
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
	b.forgive(err)
	return len(p), nil
}

func (b *logBuffer) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgive(b.w.Flush())
}

// forgive drops what could not be written: bufio refuses everything after its
// first error, so without it one full disk would end the log for good.
func (b *logBuffer) forgive(err error) {
	if err != nil {
		b.w.Reset(b.under)
	}
}

func (b *logBuffer) writeThrough() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.through = true
}

// flushingHandler writes the buffer through after anything that matters.
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

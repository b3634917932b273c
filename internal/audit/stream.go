package audit

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

const (
	// streamLength is how many events wait for the stream. Requests do not wait for
	// it: further ones are in the database and the log only.
	streamLength = 4096

	// streamFile is the mode of the file of a stream.
	streamFile fs.FileMode = 0o600

	// closeWithin is how long a stop waits for a reader that does not read.
	closeWithin = 2 * time.Second

	// reopenEvery is how often a stream looks whether its file was rotated.
	reopenEvery = time.Second
)

// Stream writes each event of this process as a line of JSON. The methods of a nil
// Stream do nothing.
type Stream struct {
	log    *slog.Logger
	path   string // empty: out is not a file of this stream
	file   *os.File
	out    *bufio.Writer
	looked time.Time

	gate   sync.RWMutex // held to read while sending, to write while closing
	closed bool
	events chan store.Event
	done   chan struct{}
	lost   atomic.Int64
}

// OpenStream returns a stream to stdout if path is "stdout", else to the file, nil if
// path is empty. A nil log discards the records.
func OpenStream(path string, stdout io.Writer, log *slog.Logger) (*Stream, error) {
	if path == "" {
		return nil, nil
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Stream{log: log, events: make(chan store.Event, streamLength), done: make(chan struct{})}
	if path == "stdout" {
		s.out = bufio.NewWriter(stdout)
	} else {
		s.path, s.out = path, bufio.NewWriter(io.Discard)
		if err := s.open(); err != nil {
			return nil, fmt.Errorf("audit.stream: %w", err)
		}
	}
	go s.run()
	return s, nil
}

// Committed returns what the store calls: it writes the event into the stream and
// calls next, which may be nil. Refreshes are too many for a stream.
func (s *Stream) Committed(next func(store.Event)) func(store.Event) {
	if s == nil {
		return next
	}
	return func(ev store.Event) {
		if ev.Action != identity.ActionRefresh {
			s.add(ev)
		}
		if next != nil {
			next(ev)
		}
	}
}

func (s *Stream) add(ev store.Event) {
	if s == nil {
		return
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return
	}
	select {
	case s.events <- ev:
	default:
		s.lost.Add(1)
	}
}

// Close writes what waits and closes the file. It does not wait for long: a reader that
// hangs must not delay the stop of a server.
func (s *Stream) Close() {
	if s == nil {
		return
	}
	s.gate.Lock()
	if !s.closed {
		s.closed = true
		close(s.events)
	}
	s.gate.Unlock()
	select {
	case <-s.done:
	case <-time.After(closeWithin):
		s.log.Warn("audit stream not read to its end; events are in the database and the log", "waiting", len(s.events))
	}
}

func (s *Stream) run() {
	defer close(s.done)
	failing := false
	for ev := range s.events {
		s.follow()
		line, err := json.Marshal(eventOf(ev))
		if err == nil {
			_, _ = s.out.Write(append(line, '\n')) // Flush returns the error
		}
		if len(s.events) > 0 {
			continue
		}
		if err = s.out.Flush(); err != nil {
			s.out.Reset(s.under()) // else it would refuse everything from now on
		}
		if err != nil && !failing {
			s.log.Error("audit stream failed; events are in the database and the log", "error", err)
		}
		failing = err != nil
		if lost := s.lost.Swap(0); lost > 0 {
			s.log.Warn("audit stream too slow; events are in the database and the log only", "events", lost)
		}
	}
	if s.file != nil {
		_ = s.file.Close() // every line was written
	}
}

// under is what the buffer writes to.
func (s *Stream) under() io.Writer {
	if s.file == nil {
		return io.Discard
	}
	return s.file
}

// follow opens the file again after another one took its name.
func (s *Stream) follow() {
	if s.path == "" || time.Since(s.looked) < reopenEvery {
		return
	}
	s.looked = time.Now()
	named, err := os.Stat(s.path)
	have, haveErr := s.file.Stat()
	if err == nil && haveErr == nil && os.SameFile(named, have) {
		return
	}
	_ = s.out.Flush() // into the previous file
	if err := s.open(); err != nil {
		s.log.Error("audit stream not opened again after its file was moved", "error", err)
	}
}

func (s *Stream) open() error {
	access := os.O_WRONLY
	if info, err := os.Stat(s.path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		access = os.O_RDWR // to open a pipe to write only waits for its reader, and that delays the start
	}
	file, err := os.OpenFile(s.path, access|os.O_APPEND|os.O_CREATE, streamFile)
	if err != nil {
		return err
	}
	if s.file != nil {
		_ = s.file.Close()
	}
	s.file = file
	s.out.Reset(file)
	return nil
}

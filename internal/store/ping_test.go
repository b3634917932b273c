package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func TestPingSucceedsOnASoundDatabase(t *testing.T) {
	onEach(t, func(w *world) {
		for range 3 {
			w.ok(w.s.Ping(w.t.Context()))
		}
	})
}

// TestPingNoticesAServerThatTakesNoWrites, such as a standby, from the first
// refused write until one succeeds again.
func TestPingNoticesAServerThatTakesNoWrites(t *testing.T) {
	url := storetest.Postgres(t)
	s := storetest.OpenURL(t, url)
	beside, name := storetest.Postgres(t), storetest.Rows(t, url, "SELECT current_database()")[0][0]
	turn := func(readOnly string) {
		storetest.Rows(t, beside, "ALTER DATABASE "+name+" SET default_transaction_read_only = "+readOnly)
		storetest.Rows(t, beside, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
	}
	write := func() error {
		return s.SetRegistration(t.Context(), store.Act{Action: "x", By: identity.Actor{Kind: identity.ActorSystem}}, true)
	}
	turn("on")
	if err := write(); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a write: %v", err)
	}
	if err := s.Ping(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("ping: %v", err)
	}
	turn("off")
	if err := errors.Join(s.Ping(t.Context()), write()); err != nil {
		t.Errorf("ping does not recover: %v", err)
	}
}

func TestPingNoticesWhatHappensToTheFile(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"removed": func(path string) error { return os.Remove(path) },
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, nil, 0o600))
		},
		"overwritten": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(make([]byte, 1<<20), 0)
			return errors.Join(err, f.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "auth.db")
			seed, err := store.Open(t.Context(), store.Config{URL: fileURL(path)})
			if err != nil {
				t.Fatal(err)
			}
			if err := seed.Close(); err != nil { // merges the log into the file
				t.Fatal(err)
			}
			s, err := store.Open(t.Context(), store.Config{URL: fileURL(path)})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close() //nolint:errcheck // closing a damaged file may fail
			if err := s.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := harm(path); err != nil {
				t.Fatal(err)
			}
			err = s.Ping(t.Context())
			if name == "overwritten" {
				if !store.IsDamaged(err) || fault.KindOf(err) != fault.Internal || !s.Stats().Damaged {
					t.Errorf("damage is permanent: %v", err)
				}
				return
			}
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Unavailable || f.RetryAfter == 0 {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWritesFailWithAMessageWhileAnotherProcessHoldsTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s := storetest.OpenURL(t, fileURL(path))
	unlock := holdLock(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := s.InsertEvent(ctx, store.Event{Action: "never"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a cancelled request: %v", err)
	}
	if time.Since(start) > 3*time.Second {
		t.Error("a cancelled request was held")
	}
	if _, err := s.UserByID(t.Context(), "nobody"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a read waits for the lock: %v", err)
	}
	err := s.InsertEvent(t.Context(), store.Event{Action: "refused"})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
	unlock()
	if err := s.InsertEvent(t.Context(), store.Event{Action: "stored"}); err != nil {
		t.Errorf("after the lock was released: %v", err)
	}
	events, err := s.Events(t.Context(), 0)
	if err != nil || len(events) != 1 || events[0].Action != "stored" {
		t.Errorf("events: %+v %v", events, err)
	}
}

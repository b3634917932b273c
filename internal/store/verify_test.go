package store_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// damagedIndex is a database with a user, and an index that lacks a row.
func damagedIndex(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "auth.db")
	s, err := store.Open(t.Context(), store.Config{URL: fileURL(path)})
	if err != nil {
		t.Fatal(err)
	}
	err = s.CreateUser(t.Context(), store.Act{Action: "x", By: identity.Actor{Kind: identity.ActorSystem}}, identity.User{EmailKey: "a@b.example", Role: identity.Viewer})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	storetest.LoseIndexEntry(t, fileURL(path))
	return path
}

func TestASmallDatabaseWithADamagedIndexIsRefused(t *testing.T) {
	path := damagedIndex(t)
	s, err := store.Open(t.Context(), store.Config{URL: fileURL(path)})
	if err == nil {
		_ = s.Close()
	}
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "missing from index") || !strings.Contains(err.Error(), "REINDEX") {
		t.Errorf("got %v", err)
	}
	reader, err := store.OpenReading(t.Context(), store.Config{URL: fileURL(path)})
	if err != nil {
		t.Fatalf("what can be read is: %v", err)
	}
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
}

func TestDamageOfALargeDatabaseIsFoundInTheBackground(t *testing.T) {
	path := damagedIndex(t)
	storetest.Exec(t, fileURL(path), "INSERT INTO settings (key, value) VALUES ('large', hex(randomblob(2000000)))")
	var log bytes.Buffer
	s := storetest.OpenURL(t, fileURL(path), func(c *store.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	if err := s.Ping(t.Context()); err != nil || s.Stats().Damaged {
		t.Fatalf("before it was examined: %v", err)
	}
	if err := s.Verify(t.Context()); !store.IsDamaged(err) {
		t.Errorf("got %v", err)
	}
	if err := s.Ping(t.Context()); !store.IsDamaged(err) || !s.Stats().Damaged {
		t.Errorf("ping: %v", err)
	}
	if !strings.Contains(log.String(), "database damaged") || !strings.Contains(log.String(), "REINDEX") {
		t.Errorf("log: %s", log.String())
	}
}

func TestASoundDatabaseIsVerified(t *testing.T) {
	onEach(t, func(w *world) {
		for range 2 { // the first one trusts Open
			w.ok(w.s.Verify(w.t.Context()))
		}
		w.ok(w.s.Ping(w.t.Context()))
	})
}

// TestTheLogIsGivenBackAfterAPeak: a long read keeps the log from being used again, so
// it grows.
func TestTheLogIsGivenBackAfterAPeak(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s := storetest.OpenURL(t, fileURL(path))
	grow := func(rows, size int) {
		for range rows {
			err := s.InsertEvent(t.Context(), store.Event{Action: "x", Outcome: store.OutcomeSuccess, Detail: strings.Repeat("x", size)})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	size := func() int64 {
		log, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return log.Size()
	}
	const most = 4 << 20
	for name, give := range map[string]func(){
		"idle": func() {
			if err := s.TrimLog(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"by further writes": func() { grow(20, 50_000) },
	} {
		grow(1, 50_000)
		release := storetest.Hold(t, fileURL(path), "BEGIN; SELECT COUNT(*) FROM settings")
		grow(15, 500_000)
		peak := size()
		if peak <= most {
			t.Fatalf("%s: no peak, %d bytes", name, peak)
		}
		if err := s.TrimLog(t.Context()); err != nil || size() != peak {
			t.Errorf("%s: while a reader needs it: %v, %d bytes", name, err, size())
		}
		release()
		give()
		if size() > most {
			t.Errorf("%s: %d bytes are kept after a peak of %d", name, size(), peak)
		}
	}
}

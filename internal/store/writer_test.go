package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

var errAct = errors.New("the operation failed")

// note stores one row; setting is the table with the fewest columns.
func note(tx *store.Tx, key string) error {
	_, err := tx.Exec("INSERT INTO settings (key, value) VALUES ($1, 'x')", key)
	return err
}

// noted reports whether the row was committed.
func noted(t *testing.T, s *store.Store, key string) bool {
	t.Helper()
	found := false
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		n, err := tx.Exec("UPDATE settings SET value = value WHERE key = $1", key)
		found = n == 1
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// together runs the operations in one batch of the writer, which is blocked until
// all of them wait, and returns their errors.
func together(t *testing.T, s *store.Store, acts ...func(*store.Tx) error) []error {
	t.Helper()
	release := make(chan struct{})
	held := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.Write(context.Background(), func(*store.Tx) error { // its own outcome does not matter
			close(held)
			<-release
			return nil
		})
	})
	<-held
	errs := make([]error, len(acts))
	for i, act := range acts {
		wg.Go(func() { errs[i] = s.Write(context.Background(), act) })
		for s.Stats().Queue != i+1 {
			time.Sleep(time.Millisecond)
		}
	}
	close(release)
	wg.Wait()
	return errs
}

func TestOperationsShareACommitAndFailAlone(t *testing.T) {
	s := storetest.Open(t)
	before := s.Stats()
	errs := together(t, s,
		func(tx *store.Tx) error { return note(tx, "a") },
		func(tx *store.Tx) error { return errors.Join(note(tx, "b"), errAct) },
		func(tx *store.Tx) error { return note(tx, "c") },
		func(tx *store.Tx) error { return note(tx, "c") }, // violates a constraint
		func(tx *store.Tx) error { _ = note(tx, "d"); panic("act") },
		func(tx *store.Tx) error { return errors.Join(note(tx, "e")) },
	)
	stats := s.Stats()
	if stats.Batches != before.Batches+1 || stats.LargestBatch != 7 {
		t.Errorf("%d commits, the largest of %d operations", stats.Batches-before.Batches, stats.LargestBatch)
	}
	if errs[0] != nil || !errors.Is(errs[1], errAct) || errs[2] != nil || errs[3] == nil || errs[4] == nil || errs[5] != nil {
		t.Errorf("results: %v", errs)
	}
	for key, want := range map[string]bool{"a": true, "b": false, "c": true, "d": false, "e": true} {
		if got := noted(t, s, key); got != want {
			t.Errorf("%s stored: %v, want %v", key, got, want)
		}
	}
}

// The first operation of a transaction has no savepoint.
func TestTheFirstOperationOfACommitFailsAlone(t *testing.T) {
	for name, fail := range map[string]func(tx *store.Tx) error{
		"refusal":    func(*store.Tx) error { return errAct },
		"constraint": func(tx *store.Tx) error { return note(tx, "first") },
		"panic":      func(*store.Tx) error { panic("act") },
	} {
		t.Run(name, func(t *testing.T) {
			s := storetest.Open(t)
			started, release, first := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			go func() {
				first <- s.Write(context.Background(), func(tx *store.Tx) error {
					close(started)
					<-release
					return errors.Join(note(tx, "first"), fail(tx))
				})
			}()
			<-started
			second := make(chan error, 1)
			go func() {
				second <- s.Write(context.Background(), func(tx *store.Tx) error { return note(tx, "second") })
			}()
			for s.Stats().Queue != 1 {
				time.Sleep(time.Millisecond)
			}
			close(release)
			if err := <-first; err == nil {
				t.Error("the first operation did not fail")
			}
			if err := <-second; err != nil || !noted(t, s, "second") || noted(t, s, "first") {
				t.Errorf("%v; first stored: %v", err, noted(t, s, "first"))
			}
			if n := s.Stats().LargestBatch; n != 2 {
				t.Errorf("the largest commit has %d operations", n)
			}
		})
	}
}

func TestNoCallerReturnsBeforeTheCommit(t *testing.T) {
	s := storetest.Open(t)
	running, release := make(chan struct{}), make(chan struct{})
	first := make(chan struct{})
	var wg sync.WaitGroup
	// The first operation is done when the second, of the same batch, still runs.
	errs := make([]error, 1)
	wg.Go(func() {
		errs = together(t, s,
			func(tx *store.Tx) error { return note(tx, "first") },
			func(*store.Tx) error { close(running); <-release; return nil },
		)
		close(first)
	})
	<-running
	select {
	case <-first:
		t.Error("an operation returned before its batch was committed")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	wg.Wait()
	if errs[0] != nil || errs[1] != nil {
		t.Errorf("results: %v", errs)
	}
}

func TestALostTransactionFailsEveryOperation(t *testing.T) {
	s := storetest.Open(t)
	errs := together(t, s,
		func(tx *store.Tx) error { return note(tx, "a") },
		func(tx *store.Tx) error { // what an operation on a full disk does to its transaction
			_, err := tx.Exec("ROLLBACK")
			return err
		},
		func(tx *store.Tx) error { return note(tx, "c") },
	)
	for i, err := range errs[:2] {
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("operation %d: %v", i, err)
		}
	}
	if noted(t, s, "a") {
		t.Error("a refused operation was stored")
	}
	if errs[2] != nil || !noted(t, s, "c") {
		t.Errorf("the writer did not recover: %v", errs[2])
	}
	if s.Stats().Failed == 0 {
		t.Error("no failure was counted")
	}
}

func TestNothingRunsAfterAFailedStatement(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			if err := note(tx, "once"); err != nil {
				return err
			}
			_ = note(tx, "once") // fails, and the error is ignored
			_ = note(tx, "after")
			return nil
		})
		if err == nil {
			t.Error("an operation with a failed statement succeeded")
		}
		if noted(t, s, "once") || noted(t, s, "after") {
			t.Error("half of it was stored")
		}
	})
}

func TestKeptErrorsAreCommitted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			if err := note(tx, "kept"); err != nil {
				return err
			}
			return store.Keep(errAct)
		})
		if !errors.Is(err, errAct) || !noted(t, s, "kept") {
			t.Errorf("got %v", err)
		}
	})
}

func TestACancelledRequestCancelsNoStatement(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Write(ctx, func(tx *store.Tx) error {
			cancel()
			return note(tx, "stored")
		})
		if err != nil || !noted(t, s, "stored") {
			t.Errorf("an operation that had started: %v", err)
		}
		err = s.Write(ctx, func(tx *store.Tx) error { return note(tx, "never") })
		if !errors.Is(err, context.Canceled) || noted(t, s, "never") {
			t.Errorf("an operation that had not: %v", err)
		}
	})
}

func TestAWaitingOperationIsCancelledWithItsRequest(t *testing.T) {
	s := storetest.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	_ = together(t, s,
		func(*store.Tx) error {
			go func() {
				gone <- s.Write(ctx, func(tx *store.Tx) error { return note(tx, "never") })
			}()
			for s.Stats().Queue == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel()
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			return nil
		})
	if noted(t, s, "never") {
		t.Error("a cancelled operation ran")
	}
}

func TestAFullQueueRefuses(t *testing.T) {
	s := storetest.Open(t)
	held, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.Write(context.Background(), func(*store.Tx) error { close(held); <-release; return nil })
	})
	<-held
	for range store.QueueLength {
		wg.Go(func() {
			if err := s.Write(context.Background(), func(*store.Tx) error { return nil }); err != nil {
				t.Errorf("an operation that was accepted: %v", err)
			}
		})
	}
	for s.Stats().Queue != store.QueueLength {
		time.Sleep(time.Millisecond)
	}
	var f *fault.Error
	err := s.Write(t.Context(), func(*store.Tx) error { return nil })
	if !errors.As(err, &f) || f.Kind != fault.Unavailable || f.Code != "unavailable" || f.RetryAfter == 0 {
		t.Errorf("got %v", err)
	}
	close(release)
	wg.Wait()
	if stats := s.Stats(); stats.Refused != 1 || stats.LargestBatch > store.MaxBatch || stats.WriteSeconds == 0 {
		t.Errorf("stats: %+v", stats)
	}
}

func TestCloseFinishesWaitingOperationsAndRefusesLaterOnes(t *testing.T) {
	s, err := store.Open(t.Context(), store.Config{URL: storetest.SQLite(t)})
	if err != nil {
		t.Fatal(err)
	}
	held, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.Write(context.Background(), func(*store.Tx) error { close(held); <-release; return nil })
	})
	<-held
	wg.Go(func() {
		if err := s.Write(context.Background(), func(tx *store.Tx) error { return note(tx, "waiting") }); err != nil {
			t.Errorf("an operation that waited: %v", err)
		}
	})
	for s.Stats().Queue != 1 {
		time.Sleep(time.Millisecond)
	}
	wg.Go(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	for closing := false; !closing; {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		err := s.Write(ctx, func(*store.Tx) error { return nil })
		closing = fault.KindOf(err) == fault.Unavailable
		cancel()
		if !closing && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an operation after Close: %v", err)
			break
		}
	}
	close(release)
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("a second close: %v", err)
	}
	if _, err := s.UserByID(t.Context(), "u"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a read after Close: %v", err)
	}
}

func TestADefectIsNotUnavailable(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec("DELETE FROM no_such_table")
			return err
		})
		if err == nil || fault.KindOf(err) != fault.Internal {
			t.Errorf("got %v", err)
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("ping: %v", err)
		}
	})
}

func TestDamageIsPermanentAndNoReasonToRetry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	seed, err := store.Open(t.Context(), store.Config{URL: fileURL(path)})
	if err != nil {
		t.Fatal(err)
	}
	act := store.Act{Action: "seed", By: identity.Actor{Kind: identity.ActorSystem}}
	for i := range 400 {
		u := identity.User{ID: numbered("u", i), EmailKey: itoa(i), DisplayName: strings.Repeat("x", 200), Role: identity.Viewer}
		if err := seed.CreateUser(t.Context(), act, u); err != nil {
			t.Fatal(err)
		}
	}
	if err := seed.Close(); err != nil {
		t.Fatal(err)
	}
	roots, err := strconv.Atoi(storetest.Rows(t, fileURL(path), "SELECT MAX(rootpage) FROM sqlite_schema")[0][0])
	if err != nil {
		t.Fatal(err)
	}
	s := storetest.OpenURL(t, fileURL(path))
	overwrite(t, path, roots*4096) // the catalogue and the roots of the tables stay
	var found error
	for i := 0; found == nil && i < 400; i++ {
		_, found = s.UserByID(t.Context(), numbered("u", i))
	}
	if !store.IsDamaged(found) || fault.KindOf(found) != fault.Internal {
		t.Errorf("damage is reported as %v", found)
	}
	if err := s.Ping(t.Context()); !store.IsDamaged(err) {
		t.Errorf("ping: %v", err)
	}
}

// overwrite fills the file with random bytes from the offset to its end.
func overwrite(t *testing.T, path string, offset int) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range content[offset:] {
		content[offset+i] = 0xAA
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

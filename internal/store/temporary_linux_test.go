package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// A savepoint that changes much must not depend on the folder of temporary files: where
// that is full, SQLite rolls the whole transaction back, with what others have in it.
func TestTheWriterNeedsNoTemporaryFiles(t *testing.T) {
	s := storetest.Open(t)
	busy, queued := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	write := func(op func(tx *store.Tx) error) {
		all.Go(func() {
			if err := s.Write(t.Context(), op); err != nil {
				t.Error(err)
			}
		})
	}
	write(func(tx *store.Tx) error {
		close(busy)
		<-queued
		_, err := tx.Exec("INSERT INTO settings (key, value) SELECT 'row ' || i, hex(randomblob(500)) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2000) SELECT i FROM n)")
		return err
	})
	<-busy
	for range 2 { // only the second one of a transaction has a savepoint
		write(func(tx *store.Tx) error {
			_, err := tx.Exec("UPDATE settings SET value = value || 'x' WHERE key LIKE 'row %'")
			if files := temporaryFiles(t); len(files) > 0 {
				t.Errorf("temporary files: %v", files)
			}
			return err
		})
	}
	for s.Stats().Queue < 2 { // so that both are in one transaction
		time.Sleep(time.Millisecond)
	}
	close(queued)
	all.Wait()
}

// temporaryFiles are the files of SQLite in the folder of temporary files that are open.
func temporaryFiles(t *testing.T) (names []string) {
	t.Helper()
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		if name, err := os.Readlink(fd); err == nil && strings.Contains(name, "etilqs_") {
			names = append(names, name)
		}
	}
	return names
}

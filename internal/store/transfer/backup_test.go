package transfer_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

func TestBackupOfARunningDatabaseStarts(t *testing.T) {
	folder := t.TempDir()
	s := storetest.OpenURL(t, sqliteURL(filepath.Join(folder, "auth.db")))
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			err := s.CreateUser(context.Background(), store.Act{Action: "load", By: identity.Actor{Kind: identity.ActorSystem}}, identity.User{EmailKey: strconv.Itoa(i), Role: identity.Viewer})
			if err != nil {
				t.Errorf("a write during the backup: %v", err)
				return
			}
		}
	}()
	path := filepath.Join(folder, "copy.db")
	for s.Stats().Transactions < 20 {
		time.Sleep(time.Millisecond)
	}
	if err := transfer.Backup(t.Context(), store.Config{URL: sqliteURL(s.Path())}, path); err != nil {
		t.Fatal(err)
	}
	close(stop)
	<-stopped
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	restored := storetest.OpenURL(t, sqliteURL(path))
	users, err := restored.Users(t.Context(), identity.Actor{Kind: identity.ActorSystem}, store.ListFilter{})
	if err != nil || users.Total == 0 {
		t.Fatalf("the copy has %d users: %v", users.Total, err)
	}
	events, err := restored.Events(t.Context(), 0)
	if err != nil || users.Total < store.MaxPage && len(events) != users.Total {
		t.Errorf("%d users and %d audit rows: half a transaction was copied (%v)", users.Total, len(events), err)
	}
	left, err := filepath.Glob(filepath.Join(folder, "*partial*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestBackupNeverOverwrites(t *testing.T) {
	folder := t.TempDir()
	s := storetest.OpenURL(t, sqliteURL(filepath.Join(folder, "auth.db")))
	path := filepath.Join(folder, "precious")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := transfer.Backup(t.Context(), store.Config{URL: sqliteURL(s.Path())}, path); fault.KindOf(err) != fault.Conflict {
		t.Errorf("got %v", err)
	}
	if err := transfer.Backup(t.Context(), store.Config{URL: sqliteURL(s.Path())}, s.Path()); fault.KindOf(err) != fault.Conflict {
		t.Errorf("over itself: %v", err)
	}
	if err := transfer.Backup(t.Context(), store.Config{URL: sqliteURL(s.Path())}, filepath.Join(folder, "no", "folder")); fault.KindOf(err) != fault.Invalid {
		t.Errorf("no folder: %v", err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "precious" {
		t.Errorf("%q %v", content, err)
	}
}

func TestBackupOfPostgresNamesItsTool(t *testing.T) {
	url := storetest.Postgres(t)
	s := storetest.OpenURL(t, url)
	err := transfer.Backup(t.Context(), store.Config{URL: url}, filepath.Join(t.TempDir(), "copy"))
	if fault.KindOf(err) != fault.Invalid || s.Path() != "" || s.Engine() != "postgres" {
		t.Errorf("got %v", err)
	}
}

package transfer

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/adopt"
	"github.com/pico-auth/pico-auth/internal/store/engine"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

var someDay = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func checkFile(t testing.TB, path string) Plan {
	t.Helper()
	plan, err := Check(t.Context(), configFor(path))
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func configFor(path string) store.Config {
	return store.Config{URL: urlOf(path), Now: func() time.Time { return someDay }, Adopt: adopt.New(adopt.Config{})}
}

func urlOf(path string) string { return "sqlite:///" + filepath.ToSlash(path) }

// makeOriginal makes a file as the Python server of version 0.minor left it:
// folder 0755, file 0644. The SQL given is run last.
func makeOriginal(t testing.TB, minor int, more ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "auth.db")
	for v := 1; v <= minor; v++ {
		text, err := os.ReadFile(fmt.Sprintf("../testdata/original-0.%d.sql", v))
		if err != nil {
			t.Fatal(err)
		}
		storetest.Exec(t, urlOf(path), string(text))
	}
	for _, text := range more {
		storetest.Exec(t, urlOf(path), text)
	}
	if err := errors.Join(os.Chmod(path, 0o644), os.Chmod(filepath.Dir(path), 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

func openFile(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := engine.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func mustExec(t testing.TB, db *sql.DB, text string) {
	t.Helper()
	if _, err := db.Exec(text); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// beside lists the folder of a file, without the file itself.
func beside(t testing.TB, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			names = append(names, e.Name())
		}
	}
	return names
}

// folder is the content of a folder: name, mode, time and content of each file.
func folder(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		files[path] = info.Mode().String() + info.ModTime().String() + string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestCheckForecastsAnAdoption(t *testing.T) {
	path := makeOriginal(t, 3, `INSERT INTO users VALUES('aaaa','BOB','','x','agent','default','active','2026-11-02',NULL);
		UPDATE service_tokens SET role = 'agent'`)
	before := folder(t, filepath.Dir(path))
	plan := checkFile(t, path)
	want := Plan{
		Engine: engine.SQLite, Path: path, State: stateOriginal, Target: store.SchemaVersion,
		Users: 5, Groups: 3, Memberships: 4, RefreshTokens: 2, ServiceTokens: 1, DanglingMembers: 3, DroppedTokens: 3,
	}
	if diff := cmp.Diff(want, plan, cmpopts.IgnoreFields(Plan{}, "Dropped", "Warnings", "Collisions", "Resolving", "Problems")); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if plan.OK() || len(plan.Dropped) != 3 || len(plan.Warnings) != 1 || len(plan.Problems) != 1 || len(plan.Collisions) != 1 ||
		!strings.Contains(plan.Collisions[0], `"BOB" (id "aaaa")`) || !strings.Contains(plan.Problems[0], `"BOB"`) {
		t.Errorf("plan = %+v", plan)
	}
	if diff := cmp.Diff(before, folder(t, filepath.Dir(path))); diff != "" {
		t.Errorf("Check changed something (-before +after):\n%s", diff)
	}
}

func TestCheckAgreesWithOpen(t *testing.T) {
	for name, c := range map[string]struct {
		minor int
		sql   string
	}{
		"fine":           {3, ""},
		"oldest":         {1, ""},
		"empty table":    {1, "DELETE FROM users"},
		"collision":      {1, "INSERT INTO users VALUES('aaaa','BOB','','x','viewer','default','active','2026-11-02',NULL)"},
		"unknown role":   {1, "UPDATE users SET role = ''"},
		"extra column":   {1, "ALTER TABLE refresh_tokens ADD COLUMN device TEXT"},
		"missing column": {1, "ALTER TABLE refresh_tokens DROP COLUMN created_at"},
		"foreign":        {0, "CREATE TABLE x (y)"},
		"nothing":        {0, "CREATE TABLE x (y); DROP TABLE x"},
		"cut off before": {2, "CREATE TABLE goose_db_version (id INTEGER, version_id INTEGER, is_applied INTEGER, tstamp TIMESTAMP); INSERT INTO goose_db_version VALUES (1, 0, 1, datetime())"},
	} {
		t.Run(name, func(t *testing.T) {
			path := makeOriginal(t, c.minor, c.sql)
			plan := checkFile(t, path)
			s, err := store.Open(t.Context(), configFor(path))
			if err == nil {
				err = s.Close()
			}
			if plan.OK() != (err == nil) {
				t.Errorf("Check says %q, Open says %v", append(plan.Collisions, plan.Problems...), err)
			}
			if err != nil {
				return
			}
			after := checkFile(t, path)
			if after.State != stateCurrent || after.Users != plan.Users || after.Groups != plan.Groups || after.Memberships != plan.Memberships ||
				after.RefreshTokens != plan.RefreshTokens || after.ServiceTokens != plan.ServiceTokens || after.Version != store.SchemaVersion {
				t.Errorf("forecast %+v, found %+v", plan, after)
			}
		})
	}
}

// TestCheckChangesNothingWhateverTheJournal checks a file of this program
// closed, in use, and after a crash.
func TestCheckChangesNothingWhateverTheJournal(t *testing.T) {
	at := func(t *testing.T, path string, want int) {
		t.Helper()
		before := folder(t, filepath.Dir(path))
		delete(before, path+"-shm") // readers write into this scratch file of the process that has the database open
		if plan := checkFile(t, path); plan.State != stateOriginal || plan.Users != want {
			t.Errorf("plan = %+v, want %d users", plan, want)
		}
		after := folder(t, filepath.Dir(path))
		delete(after, path+"-shm")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("Check changed something (-before +after):\n%s", diff)
		}
	}
	insert := "INSERT INTO users VALUES('aaaa','new','','x','viewer','default','active','2026-11-02',NULL)"
	t.Run("closed", func(t *testing.T) {
		path := makeOriginal(t, 1, "PRAGMA journal_mode = WAL", insert)
		at(t, path, 5)
		if left := beside(t, path); len(left) > 0 {
			t.Errorf("in the folder: %q", left)
		}
	})
	t.Run("an index without its log", func(t *testing.T) {
		path := makeOriginal(t, 1, "PRAGMA journal_mode = WAL", insert)
		if err := os.WriteFile(path+"-shm", make([]byte, 32<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		at(t, path, 5)
		if err := Backup(t.Context(), configFor(path), filepath.Join(t.TempDir(), "copy.db")); err != nil {
			t.Error(err)
		}
	})
	// The file must not be in use by this very process: Check opens it itself.
	for name, suffixes := range map[string][]string{"in use": {"", "-wal", "-shm"}, "after a crash": {"", "-wal"}} {
		t.Run(name, func(t *testing.T) {
			busy := makeOriginal(t, 1)
			db := openFile(t, busy)
			db.SetMaxOpenConns(1)
			mustExec(t, db, "PRAGMA journal_mode = WAL")
			mustExec(t, db, insert)
			path := filepath.Join(t.TempDir(), "auth.db")
			for _, suffix := range suffixes {
				if err := engine.CopyFile(path+suffix, busy+suffix); err != nil {
					t.Fatal(err)
				}
			}
			at(t, path, 5)
			if left := beside(t, path); len(left) != len(suffixes)-1 {
				t.Errorf("in the folder: %q", left)
			}
		})
	}
}

func TestCheckMakesNoFile(t *testing.T) {
	dir := t.TempDir()
	plan := checkFile(t, filepath.Join(dir, "auth.db"))
	if plan.State != stateEmpty || !plan.OK() || len(folder(t, dir)) > 0 {
		t.Errorf("plan = %+v, folder %v; want empty and empty", plan, folder(t, dir))
	}
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if plan := checkFile(t, empty); plan.State != stateEmpty || !plan.OK() {
		t.Errorf("plan of an empty file = %+v", plan)
	}
}

func TestCheckDistinguishesNewerAndOlder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s, err := store.Open(t.Context(), configFor(path))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if plan := checkFile(t, path); plan.State != stateCurrent || !plan.OK() || plan.Version != store.SchemaVersion {
		t.Errorf("plan = %+v, want current", plan)
	}
	db := openFile(t, path)
	mustExec(t, db, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1000, 1)")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	plan := checkFile(t, path)
	if plan.State != stateNewer || plan.OK() || plan.Version != 1000 || !strings.Contains(plan.Problems[0], "1000") {
		t.Errorf("plan = %+v, want newer", plan)
	}
	db = openFile(t, path)
	mustExec(t, db, fmt.Sprintf("DELETE FROM goose_db_version WHERE version_id >= %d", store.SchemaVersion))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if plan := checkFile(t, path); plan.State != stateBehind || !plan.OK() || plan.Version >= store.SchemaVersion || plan.Version == 0 {
		t.Errorf("plan = %+v, want behind", plan)
	}
}

func TestCheckReportsDamage(t *testing.T) {
	t.Run("a page", func(t *testing.T) {
		path := makeOriginal(t, 3)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		i := strings.Index(string(content), "carol@example.org")
		page := content[i/4096*4096:][:8] // its header: type, free block, cells, start
		copy(page, "\xff\xff\xff\xff\xff\xff\xff\xff")
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if plan := checkFile(t, path); plan.State != stateDamaged || plan.OK() {
			t.Errorf("plan = %+v, want damaged", plan)
		}
	})
	t.Run("an index", func(t *testing.T) {
		path := makeOriginal(t, 1, `PRAGMA writable_schema = 1;
			UPDATE sqlite_master SET sql = 'CREATE UNIQUE INDEX ix_users_email ON users (display_name)' WHERE name = 'ix_users_email'`)
		if plan := checkFile(t, path); plan.State != stateDamaged || !strings.Contains(plan.Problems[0], "ix_users_email") {
			t.Errorf("plan = %+v, want the index named", plan)
		}
	})
	for name, content := range map[string]string{"no database": strings.Repeat("not a database\n", 100), "short": "SQLite"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "auth.db")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			plan := checkFile(t, path)
			if plan.State != stateDamaged || plan.OK() {
				t.Errorf("plan = %+v, want damaged", plan)
			}
		})
	}
}

func TestCheckRefusesWhatItCannotRead(t *testing.T) {
	for name, url := range map[string]string{
		"no URL": "auth.db", "a folder": "sqlite:///" + filepath.ToSlash(t.TempDir()),
		"no server": "postgres://nobody@127.0.0.1:1/nothing?connect_timeout=2",
	} {
		if plan, err := Check(t.Context(), store.Config{URL: url}); err == nil {
			t.Errorf("%s: plan = %+v, want an error", name, plan)
		} else if fault.KindOf(err) == fault.Internal {
			t.Errorf("%s: %v is no message for the operator", name, err)
		}
	}
}

package adopt

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// makeOriginal makes a file as the Python server of version 0.minor left it:
// folder 0755, file 0644. The SQL given is run last.
func makeOriginal(t testing.TB, minor int, more ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "auth.db")
	db := openFile(t, path)
	for v := 1; v <= minor; v++ {
		text, err := os.ReadFile(fmt.Sprintf("../testdata/original-0.%d.sql", v))
		if err != nil {
			t.Fatal(err)
		}
		mustExec(t, db, string(text))
	}
	for _, text := range more {
		mustExec(t, db, text)
	}
	if err := errors.Join(db.Close(), os.Chmod(path, 0o644), os.Chmod(filepath.Dir(path), 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

func openFile(t testing.TB, path string) *sql.DB {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
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

// dump returns the content of a file as text: the schema and all rows.
func dump(t testing.TB, path string) string {
	t.Helper()
	db := openFile(t, path)
	defer db.Close()
	names, err := engine.Names(context.Background(), db, `SELECT type || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_master ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := engine.Tables(context.Background(), db, engine.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		names = append(names, dumpTable(t, db, table)...)
	}
	return strings.Join(names, "\n")
}

func dumpTable(t testing.TB, db *sql.DB, table string) (lines []string) {
	t.Helper()
	rows, err := db.Query("SELECT * FROM " + table + " ORDER BY 1, 2")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		line := table
		for i := range values {
			line += fmt.Sprintf(" %s=%v", columns[i], *values[i].(*any))
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// adopting returns an adoption of the file on adoptionDay.
func adopting(path string) *adoption {
	return &adoption{
		Config: Config{SessionMax: adoptionLife, IsDefaultPassword: func(identity.PasswordHash) bool { return false }},
		Candidate: store.Candidate{
			Target: engine.File(path), Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return adoptionDay },
		},
		createSchema: store.CreateSchema,
	}
}

// run does what the first start on the file does.
func run(t testing.TB, a *adoption) (done store.Adoption, err error) {
	t.Helper()
	if err := a.prepare(t.Context()); err != nil {
		return store.Adoption{}, err
	}
	db := openFile(t, a.Path)
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if done, err = a.replace(t.Context(), tx); err != nil {
		return done, errors.Join(err, tx.Rollback())
	}
	return done, tx.Commit()
}

func TestAdoptionThatFailsAnywhereLeavesTheFileAsItWas(t *testing.T) {
	broken := errors.New("broken by the test")
	stages := map[string]func(a *adoption){
		"no schema": func(a *adoption) {
			a.createSchema = func(context.Context, *sql.Tx, time.Time) error { return broken }
		},
	}
	for _, table := range []string{
		"organizations", "users", "groups", "group_members", "refresh_families", "refresh_tokens", "service_tokens", "settings",
	} {
		stages["no rows in "+table] = func(a *adoption) {
			a.createSchema = func(ctx context.Context, tx *sql.Tx, now time.Time) error {
				_, err := tx.ExecContext(ctx, "CREATE TABLE x (y); DROP TABLE x")
				trigger := "CREATE TRIGGER broken BEFORE INSERT ON " + table + " BEGIN SELECT RAISE(ABORT, 'broken by the test'); END"
				err = errors.Join(err, store.CreateSchema(ctx, tx, now))
				_, failed := tx.ExecContext(ctx, trigger)
				return errors.Join(err, failed)
			}
		}
	}
	for name, breakIt := range stages {
		t.Run(name, func(t *testing.T) {
			path := makeOriginal(t, 3)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			a := adopting(path)
			breakIt(a)
			if _, err := run(t, a); err == nil || !strings.Contains(err.Error(), "broken by the test") {
				t.Fatalf("error = %v, want that of the test", err)
			}
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file changed (%v)", err)
			}
			if left := beside(t, path); len(left) > 0 {
				t.Errorf("files left in the folder: %q", left)
			}
			if _, err := run(t, adopting(path)); err != nil {
				t.Errorf("the next attempt fails: %v", err)
			}
		})
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

// TestAdoptionSurvivesBeingKilledBeforeItsCommit kills a process that has
// written all rows, more than SQLite's cache holds, and not committed.
func TestAdoptionSurvivesBeingKilledBeforeItsCommit(t *testing.T) {
	if path := os.Getenv("TEST_ADOPT_AND_DIE"); path != "" {
		a := adopting(path)
		a.Log = slog.New(dieOnReport{slog.DiscardHandler})
		_, err := run(t, a)
		t.Fatalf("survived: %v", err)
	}
	const users = 20_000
	path := makeOriginal(t, 3, fmt.Sprintf(`INSERT INTO users
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d)
		SELECT 'user' || i, 'user' || i || '@example.org', '', '$2b$12$x', 'viewer', 'default', 'active', '2026-11-01', NULL FROM n`, users))
	before := dump(t, path)
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), "TEST_ADOPT_AND_DIE="+path)
	if out, err := child.CombinedOutput(); err == nil || bytes.Contains(out, []byte("survived")) {
		t.Fatalf("the child did not die: %v\n%s", err, out)
	}
	left := beside(t, path)
	if !slices.ContainsFunc(left, func(name string) bool { return strings.HasSuffix(name, "-journal") }) {
		t.Errorf("the folder holds %q: no data had reached the disk, so nothing is tested", left)
	}
	if after := dump(t, path); after != before {
		t.Errorf("the file changed:\n%s", cmp.Diff(before, after))
	}
	done, err := run(t, adopting(path))
	if err != nil {
		t.Fatalf("the next start fails: %v", err)
	}
	if copied := dump(t, done.Backup); copied != before {
		t.Error("the copy differs from the file")
	}
	var n int
	if err := openFile(t, path).QueryRow("SELECT COUNT(*) FROM users").Scan(&n); err != nil || n != users+4 {
		t.Errorf("%d users, %v; want %d", n, err, users+4)
	}
}

// dieOnReport kills the process when the adoption logs that it is done.
type dieOnReport struct{ slog.Handler }

func (dieOnReport) Enabled(context.Context, slog.Level) bool { return true }

func (dieOnReport) Handle(_ context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "Python server's database adopted") {
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		time.Sleep(time.Minute)
		return err
	}
	return nil
}

func TestAdoptionCopiesWhatIsStillInTheWriteAheadLog(t *testing.T) {
	path := makeOriginal(t, 1)
	python := openFile(t, path)
	python.SetMaxOpenConns(1)
	mustExec(t, python, "PRAGMA journal_mode = WAL")
	mustExec(t, python, "PRAGMA wal_autocheckpoint = 0")
	mustExec(t, python, "UPDATE users SET display_name = 'in the log' WHERE email = 'bob'")
	a := adopting(path)
	if err := a.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	backup := a.backup
	if !strings.Contains(dump(t, backup), "in the log") {
		t.Error("the copy lacks the content of the log")
	}
	info, err := os.Stat(backup)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy has mode %v, %v; want 0600", info.Mode(), err)
	}
	if want := path + ".backup-20261122T120000Z"; backup != want {
		t.Errorf("the copy is %s, want %s", backup, want)
	}
}

func TestAdoptionNeverOverwritesACopy(t *testing.T) {
	path := makeOriginal(t, 1)
	taken := path + ".backup-20261122T120000Z"
	if err := os.WriteFile(taken, nil, 0o600); err != nil { // empty: VACUUM INTO alone would write into it
		t.Fatal(err)
	}
	done, err := run(t, adopting(path))
	if err != nil || done.Backup != taken+"-2" {
		t.Errorf("the copy is %q, %v; want %s-2", done.Backup, err, taken)
	}
	if content, err := os.ReadFile(taken); err != nil || len(content) > 0 {
		t.Errorf("the existing file holds %d bytes, %v", len(content), err)
	}
}

func TestAdoptionRefusesByNameBeforeItTouchesAnything(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		want []string
	}{
		"two addresses": {
			`INSERT INTO users VALUES('aaaa','ada.lovelace@EXAMPLE.org','','x','viewer','default','active','2026-11-02',NULL)`,
			[]string{`"Ada.Lovelace@Example.org" (id "0a1b2c3d4e5f")`, `"ada.lovelace@EXAMPLE.org" (id "aaaa")`},
		},
		"two groups": {
			`INSERT INTO groups VALUES('eeee',' Ops','','default','2026-11-02','2026-11-02')`,
			[]string{`"Ops" (id "aaaaaaaaaaaa", organization "default")`, `" Ops" (id "eeee", organization "default")`},
		},
		"two service tokens": {
			`INSERT INTO service_tokens VALUES('eeee','ci','x','operator','default','','2026-11-02',NULL)`,
			[]string{`"ci" (id "51d1f0000001")`, `"ci" (id "eeee")`},
		},
		"a role":     {`UPDATE users SET role = 'root' WHERE email = 'bob'`, []string{`"bob" (id "1b2c3d4e5f60") has the unknown role "root"`}},
		"a status":   {`UPDATE users SET status = 'Suspended' WHERE email = 'bob'`, []string{`unknown status "Suspended"`}},
		"a time":     {`UPDATE users SET created_at = 20261122 WHERE email = 'bob'`, []string{`"bob" (id "1b2c3d4e5f60") has no readable created_at: "20261122"`}},
		"NULL":       {`ALTER TABLE users ADD COLUMN phone TEXT`, []string{`the table users has a column "phone"`}},
		"a trigger":  {`CREATE TRIGGER mine AFTER DELETE ON users BEGIN SELECT 1; END`, []string{`the table users has a trigger`, `"mine"`}},
		"references": {`CREATE TABLE profiles (user_id TEXT REFERENCES Users(id) ON DELETE CASCADE)`, []string{`the table users has a foreign key`, `"profiles"`}},
		"our names":  {`CREATE TABLE Settings (x)`, []string{`there is a table settings already`}},
		"all at once": {
			`UPDATE users SET role = 'root', status = 'locked' WHERE email = 'bob'; CREATE TABLE audit_events (x)`,
			[]string{"unknown role", "unknown status", "audit_events"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := makeOriginal(t, 3, c.sql)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = run(t, adopting(path))
			refused, ok := errors.AsType[*fault.Error](err)
			if !ok || refused.Code != "cannot_adopt" {
				t.Fatalf("error = %v, want a refusal", err)
			}
			for _, want := range c.want {
				if !strings.Contains(refused.Message, want) {
					t.Errorf("refused with %q, want it to name %s", refused.Message, want)
				}
			}
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(before, after) || len(beside(t, path)) > 0 {
				t.Errorf("the file changed or other files were made: %q, %v", beside(t, path), err)
			}
		})
	}
}

func TestRefusalOfAnAdoptionIsBounded(t *testing.T) {
	err := refuse(slices.Repeat([]string{"x"}, 25), slices.Repeat([]string{"y"}, 24))
	if text := err.Error(); strings.Count(text, "\n  x") != maxListed || !strings.Contains(text, "and 5 more") ||
		strings.Count(text, "\n  y") != maxListed || !strings.Contains(text, "and 4 more") {
		t.Errorf("refusal = %q", text)
	}
}

func TestForeseeTellsWhatTheAdoptionDoes(t *testing.T) {
	db := openFile(t, makeOriginal(t, 3))
	f, known, err := Foresee(t.Context(), db, engine.SQLite, adoptionDay)
	if err != nil || !known {
		t.Fatalf("known %t, %v", known, err)
	}
	want := Forecast{Users: 4, Groups: 3, Memberships: 4, RefreshTokens: 2, ServiceTokens: 1, DroppedTokens: 3, Dropped: f.Dropped}
	if diff := cmp.Diff(want, f); diff != "" || len(f.Dropped) != 3 {
		t.Errorf("forecast (-want +got):\n%s", diff)
	}
	mustExec(t, db, "DROP TABLE refresh_tokens")
	if _, known, err := Foresee(t.Context(), db, engine.SQLite, adoptionDay); known || err != nil {
		t.Errorf("a foreign database: known %t, %v", known, err)
	}
	if known, err := Known(t.Context(), db, engine.SQLite); known || err != nil {
		t.Errorf("a foreign database: known %t, %v", known, err)
	}
}

func TestInspectionPassesErrorsOn(t *testing.T) {
	db := openFile(t, makeOriginal(t, 3))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := inspect(gone, db, engine.SQLite); !errors.Is(err, context.Canceled) {
		t.Errorf("inspect = %v", err)
	}
	sh := shape{legacy: []string{"users"}}
	if _, err := readOriginal(gone, db, sh); !errors.Is(err, context.Canceled) {
		t.Errorf("readOriginal = %v", err)
	}
	a := adopting("")
	if _, _, err := a.read(gone, db); !errors.Is(err, context.Canceled) {
		t.Errorf("read = %v", err)
	}
	mustExec(t, db, "DROP TABLE users")
	if _, _, err := a.read(t.Context(), db); err == nil {
		t.Error("read accepts a foreign database")
	}
}

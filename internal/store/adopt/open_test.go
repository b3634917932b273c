package adopt_test

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"golang.org/x/crypto/bcrypt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/adopt"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

var movingDay = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// eachOriginal runs test on a database of the Python server 0.minor, on each
// engine. The SQL given is run last.
func eachOriginal(t *testing.T, minor int, more string, test func(t *testing.T, url string, raw *sql.DB)) {
	t.Helper()
	for engine, fresh := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.EmptyPostgres} {
		t.Run(engine, func(t *testing.T) {
			url := fresh(t)
			test(t, url, fillOriginal(t, url, minor, more))
		})
	}
}

// fillOriginal makes the tables of the Python server 0.minor; a file gets the
// modes of the original.
func fillOriginal(t *testing.T, url string, minor int, more string) (raw *sql.DB) {
	t.Helper()
	raw = openRaw(t, url)
	for v := 1; v <= minor; v++ {
		text, err := os.ReadFile(fmt.Sprintf("../testdata/original-0.%d.sql", v))
		if err != nil {
			t.Fatal(err)
		}
		execRaw(t, raw, string(text))
	}
	execRaw(t, raw, more)
	if path := filePath(url); path != "" {
		if err := errors.Join(os.Chmod(path, 0o644), os.Chmod(filepath.Dir(path), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	return raw
}

// filePath is empty for PostgreSQL.
func filePath(url string) string {
	path, found := strings.CutPrefix(url, "sqlite:///")
	if !found {
		return ""
	}
	return path
}

func openRaw(t *testing.T, url string) *sql.DB {
	t.Helper()
	driver, name := "pgx", url
	if path := filePath(url); path != "" {
		driver, name = "sqlite", path
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execRaw(t *testing.T, db *sql.DB, text string) {
	t.Helper()
	if text == "" {
		return
	}
	if _, err := db.Exec(text); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

func queryRaw(t *testing.T, db *sql.DB, query string) (lines []string) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// moving is the configuration of a first start on movingDay.
func moving(url string, log *bytes.Buffer) store.Config {
	return store.Config{
		URL: url, Now: func() time.Time { return movingDay }, Log: slog.New(slog.NewTextHandler(log, nil)),
		Adopt: adopt.New(adopt.Config{
			SessionMax: 30 * 24 * time.Hour,
			IsDefaultPassword: func(hash identity.PasswordHash) bool {
				return bcrypt.CompareHashAndPassword([]byte(hash), []byte("admin")) == nil
			},
		}),
	}
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func rotate(t *testing.T, s *store.Store, token string) (store.Rotation, error) {
	t.Helper()
	return s.RotateRefresh(t.Context(), identity.Actor{}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{hashOf(token)}}, store.NewRefresh{
		Hash: hashOf("successor of " + token), ExpiresAt: movingDay.Add(7 * 24 * time.Hour),
		AccessJTI: "jti of " + token, AccessExpiresAt: movingDay.Add(15 * time.Minute),
	})
}

func TestEveryVersionOfTheOriginalIsAdopted(t *testing.T) {
	for minor := 1; minor <= 3; minor++ {
		t.Run(fmt.Sprintf("0.%d", minor), func(t *testing.T) {
			eachOriginal(t, minor, "CREATE TABLE unrelated (x TEXT); INSERT INTO unrelated VALUES ('left alone')",
				func(t *testing.T, url string, raw *sql.DB) { adoptAndLook(t, minor, url, raw) })
		})
	}
}

func adoptAndLook(t *testing.T, minor int, url string, raw *sql.DB) {
	var log bytes.Buffer
	s, err := store.Open(t.Context(), moving(url, &log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	lookAtUsers(t, s)
	lookAtRefreshTokens(t, s)
	if minor >= 2 {
		lookAtGroups(t, s)
	}
	if minor >= 3 {
		lookAtServiceTokens(t, s)
		if got := queryRaw(t, raw, "SELECT password FROM email_credentials"); !slices.Equal(got, []string{"mailbox password"}) {
			t.Errorf("mailbox credentials = %q", got)
		}
	}
	if got := queryRaw(t, raw, "SELECT x FROM unrelated"); !slices.Equal(got, []string{"left alone"}) {
		t.Errorf("the unrelated table holds %q", got)
	}
	if key, err := s.AdoptedKey(t.Context()); err != nil || !key.Pending {
		t.Errorf("AdoptedKey = %+v, %v; want it pending", key, err)
	}
	done := s.Adopted()
	if want := map[int]int{1: 0, 2: 3, 3: 3}[minor]; done == nil || done.Dropped != want {
		t.Fatalf("Adopted = %+v; want %d dropped", done, want)
	}
	lookAtLog(t, s.Engine(), done.Backup, log.String(), minor)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := store.Open(t.Context(), moving(url, &log))
	if err != nil {
		t.Fatalf("the second start: %v", err)
	}
	t.Cleanup(func() { _ = again.Close() })
	if again.Adopted() != nil {
		t.Error("the second start adopts again")
	}
}

func TestAFailedFirstStartLeavesTheOriginalAsItWas(t *testing.T) {
	for name, obstacle := range map[string]string{
		"found beforehand": "UPDATE users SET role = 'root' WHERE email = 'bob'",
		// An existing index with the name of one of ours is found only when the schema is made.
		"met half-way": "CREATE TABLE unrelated (x TEXT); CREATE INDEX groups_by_org ON unrelated (x)",
	} {
		t.Run(name, func(t *testing.T) {
			eachOriginal(t, 3, obstacle, func(t *testing.T, url string, raw *sql.DB) {
				before := contents(t, raw)
				var log bytes.Buffer
				if s, err := store.Open(t.Context(), moving(url, &log)); err == nil {
					_ = s.Close()
					t.Fatal("the start succeeds")
				}
				if diff := cmp.Diff(before, contents(t, raw)); diff != "" {
					t.Errorf("the database changed (-before +after):\n%s", diff)
				}
				if path := filePath(url); path != "" {
					if left, err := filepath.Glob(path + ".backup*"); err != nil || len(left) > 0 {
						t.Errorf("copies left: %q, %v", left, err)
					}
				}
				execRaw(t, raw, "UPDATE users SET role = 'viewer' WHERE email = 'bob'; DROP INDEX IF EXISTS groups_by_org")
				s, err := store.Open(t.Context(), moving(url, &log))
				if err != nil {
					t.Fatalf("the next start: %v", err)
				}
				_ = s.Close()
			})
		})
	}
}

// contents is what the Python server would read.
func contents(t *testing.T, raw *sql.DB) (lines []string) {
	t.Helper()
	for _, query := range []string{
		"SELECT id || email || display_name || password_hash || role || org_id || status || created_at || COALESCE(last_login_at, '') FROM users ORDER BY id",
		"SELECT id || name || description || org_id || created_at || updated_at FROM groups ORDER BY id",
		"SELECT group_id || user_id || joined_at FROM group_members ORDER BY group_id, user_id",
		"SELECT id || user_id || token_hash || expires_at || created_at FROM refresh_tokens ORDER BY id",
		"SELECT id || name || token_hash || role || org_id || description || created_at || COALESCE(revoked_at, '') FROM service_tokens ORDER BY id",
		"SELECT id || agent_id || email || imap_port || username || password || created_at FROM email_credentials ORDER BY id",
	} {
		lines = append(lines, queryRaw(t, raw, query)...)
	}
	return lines
}

func TestObstaclesOnPostgresAreNamed(t *testing.T) {
	for want, obstacle := range map[string]string{
		`"profiles"`: `CREATE TABLE profiles (user_id VARCHAR(36) REFERENCES users (id))`,
		`"staff"`:    `CREATE VIEW staff AS SELECT email FROM users WHERE role <> 'viewer'`,
		`"stamp"`: `CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
			CREATE TRIGGER stamp BEFORE UPDATE ON groups FOR EACH ROW EXECUTE FUNCTION stamp()`,
		`"phone"`:          `ALTER TABLE users ADD COLUMN phone TEXT`,
		`a table settings`: `CREATE TABLE settings (x TEXT)`,
	} {
		t.Run(want, func(t *testing.T) {
			url := storetest.EmptyPostgres(t)
			fillOriginal(t, url, 3, obstacle)
			var log bytes.Buffer
			_, err := store.Open(t.Context(), moving(url, &log))
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want a refusal that names %s", err, want)
			}
		})
	}
}

func TestAForeignDatabaseIsRefusedByName(t *testing.T) {
	for name, text := range map[string]string{
		"others":          "CREATE TABLE invoices (id TEXT); CREATE TABLE customers (id TEXT)",
		"users of others": "CREATE TABLE users (id TEXT, name TEXT); CREATE TABLE invoices (id TEXT)",
		"others who use goose": `CREATE TABLE invoices (id TEXT); CREATE TABLE users (id TEXT);
			CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY, version_id BIGINT NOT NULL, is_applied BOOLEAN NOT NULL, tstamp TIMESTAMP);
			INSERT INTO goose_db_version (id, version_id, is_applied) VALUES (1, 0, TRUE), (2, 1, TRUE), (3, 2, TRUE)`,
		"newer others who use goose": `CREATE TABLE invoices (id TEXT);
			CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY, version_id BIGINT NOT NULL, is_applied BOOLEAN NOT NULL, tstamp TIMESTAMP);
			INSERT INTO goose_db_version (id, version_id, is_applied) VALUES (1, 20260101, TRUE)`,
		"half of the Python": "CREATE TABLE groups (id TEXT); CREATE TABLE invoices (id TEXT)",
	} {
		t.Run(name, func(t *testing.T) {
			eachOriginal(t, 0, text, func(t *testing.T, url string, _ *sql.DB) {
				var log bytes.Buffer
				_, err := store.Open(t.Context(), moving(url, &log))
				if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "invoices") {
					t.Errorf("error = %v, want a refusal that names the tables", err)
				}
				plan, err := transfer.Check(t.Context(), moving(url, &log))
				if err != nil || plan.State != "foreign" || plan.OK() {
					t.Errorf("Check = %+v, %v; want foreign and not OK", plan, err)
				}
			})
		})
	}
}

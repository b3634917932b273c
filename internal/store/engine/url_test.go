package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
)

func TestSQLiteURLsNameTheirFile(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"sqlite:///auth.db":                          filepath.Join(folder, "auth.db"),
		"sqlite+aiosqlite:///auth.db":                filepath.Join(folder, "auth.db"),
		"SQLite+aiosqlite:///auth.db":                filepath.Join(folder, "auth.db"),
		"sqlite+aiosqlite:///./data/../auth.db":      filepath.Join(folder, "auth.db"),
		"sqlite:////var/lib/pico/auth.db":            "/var/lib/pico/auth.db",
		"sqlite+aiosqlite:////var/lib/pico/auth.db":  "/var/lib/pico/auth.db",
		"sqlite:////var/lib/a%20b#c.db":              "/var/lib/a%20b#c.db", // not decoded, as in SQLAlchemy
		"sqlite:////var/lib/ä b.db?timeout=30":       "/var/lib/ä b.db",
		"sqlite:///auth.db?check_same_thread=false&": filepath.Join(folder, "auth.db"),
	} {
		got, err := Parse(url)
		if err != nil || got.Engine != SQLite || got.Path != want {
			t.Errorf("%s: %q %v, want %q", url, got.Path, err, want)
		}
	}
}

func TestPostgresURLsAreParsed(t *testing.T) {
	for url, tls := range map[string]bool{
		"postgres://u:p%40ss@db:5433/pico":                               true, // prefer, as asyncpg does
		"postgresql://u:p%40ss@db:5433/pico":                             true,
		"postgresql+asyncpg://u:p%40ss@db:5433/pico?ssl=require":         true,
		"postgresql+asyncpg://u:p%40ss@db:5433/pico?ssl=disable":         false,
		"postgresql+psycopg://u:p%40ss@db:5433/pico?sslmode=verify-full": true,
		"postgresql://u:p%40ss@db:5433/pico?ssl=true&timeout=3":          true,
	} {
		got, err := Parse(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		c := got.Server
		if got.Engine != Postgres || c.Host != "db" || c.Port != 5433 || c.User != "u" || c.Password != "p@ss" || c.Database != "pico" {
			t.Errorf("%s: %+v", url, c.Config)
		}
		if (c.TLSConfig != nil) != tls {
			t.Errorf("%s: TLS %v, want %v", url, c.TLSConfig != nil, tls)
		}
		if c.RuntimeParams["statement_timeout"] != "10s" || got.pool != defaultPool {
			t.Errorf("%s: %v, pool %d", url, c.RuntimeParams, got.pool)
		}
		if m := unbounded(c); m.RuntimeParams["statement_timeout"] != "0" || c.RuntimeParams["statement_timeout"] != "10s" {
			t.Errorf("%s: a migration has timeouts, or unbounded changed its argument", url)
		}
	}
	spaced, err := Parse("postgresql://db/pico?options=-c%20search_path%3Da&application_name=a+b")
	if err != nil || spaced.Server.RuntimeParams["options"] != "-c search_path=a" || spaced.Server.RuntimeParams["application_name"] != "a b" {
		t.Errorf("spaces: %v %v", spaced.Server.RuntimeParams, err)
	}
	got, err := Parse("postgresql://db/pico?pool_max_conns=9&statement_timeout=3s")
	if err != nil || got.pool != 9 || got.Server.RuntimeParams["statement_timeout"] != "3s" {
		t.Errorf("timeouts of the URL: %+v %v", got, err)
	}
}

func TestServersOfAURL(t *testing.T) {
	for url, want := range map[string]string{
		"postgresql://u:p@%2Frun%2Fpostgresql/db":                        "u:p@/run/postgresql/.s.PGSQL.5432/db",
		"postgresql://u:p@%2Frun%2Fpostgresql:5433/db":                   "u:p@/run/postgresql/.s.PGSQL.5433/db",
		"postgresql://u:p@/db?host=/run/postgresql":                      "u:p@/run/postgresql/.s.PGSQL.5432/db",
		"postgresql+asyncpg://u:p@/db?host=/run/postgresql":              "u:p@/run/postgresql/.s.PGSQL.5432/db",
		"postgresql:///db?host=/run/postgresql&user=u&password=p":        "u:p@/run/postgresql/.s.PGSQL.5432/db",
		"postgresql://u:p@a,b:5433/db?sslmode=disable":                   "u:p@a:5432, b:5433/db",
		"postgresql://u:p@[::1]:5433,b/db?sslmode=disable":               "u:p@[::1]:5433, b:5432/db",
		"postgresql://u:p@/db?host=a:5433&host=b&sslmode=disable":        "u:p@a:5433, b:5432/db",
		"postgresql://u:p@/db?host=a:5433,b:5434&sslmode=disable":        "u:p@a:5433, b:5434/db",
		"postgresql://u:p@/db?host=a,b&port=5433,5434&sslmode=disable":   "u:p@a:5433, b:5434/db",
		"postgresql://u:p@a,b/db":                                        "u:p@a:5432, b:5432/db",
		"postgresql://u:p@a/db":                                          "u:p@a:5432/db",
		"postgresql://u%40x:p%2Fq%3Fr%23@a/db":                           "u@x:p/q?r#@a:5432/db",
		"postgresql://u:p@q@a/db":                                        "u:p@q@a:5432/db",
		"postgresql://u:p@a/d%20b?options=-c%20geqo%3Doff&sslmode=allow": "u:p@a:5432/d b",
	} {
		got, err := Parse(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if text := got.Server.User + ":" + got.Server.Password + "@" + got.address() + "/" + got.Server.Database; text != want {
			t.Errorf("%s: %s, want %s", url, text, want)
		}
		if several := strings.Contains(want, ", "); several != (got.Server.ValidateConnect != nil) {
			t.Errorf("%s: the server must take writes: %t", url, !several)
		}
		if options := got.Server.RuntimeParams["options"]; strings.Contains(url, "options=") && options != "-c geqo=off" {
			t.Errorf("%s: options are %q", url, options)
		}
	}
	if got, err := Parse("postgresql://a,b/db?target_session_attrs=any"); err != nil || got.Server.ValidateConnect != nil {
		t.Errorf("an explicit choice is overridden: %v", err)
	}
	if got, err := Parse("postgresql://a/db?target_session_attrs=read-write"); err != nil || got.Server.ValidateConnect == nil {
		t.Errorf("a choice for one server is ignored: %v", err)
	}
}

func TestBadURLsAreRefusedWithoutTheirSecrets(t *testing.T) {
	for url, word := range map[string]string{
		"":                                 "is not a URL",
		"auth.db":                          "is not a URL",
		"mysql://root:s3cret@db/x":         "neither sqlite nor postgresql",
		"sqlite://auth.db":                 "three slashes",
		"sqlite+aiosqlite://":              "in memory",
		"sqlite://":                        "in memory",
		"sqlite:///":                       "in memory",
		"sqlite:///:memory:":               "in memory",
		"sqlite+aiosqlite:///:memory:?x=y": "in memory",
		"sqlite:///file:auth.db?uri=true":  "in memory",
		"sqlite:///a\x00b":                 "control character",
		"sqlite:///auth.db?mode=ro":        "parameter",
		"sqlite:///auth.db?%zz":            "malformed",
		"postgres://u:s3cret@db:port/x":    "a port is a number",
		"postgres://u:s3cret@[::1/x":       "malformed",
		"postgres://u:s3cret@db/x?%zz":     "malformed",
		"postgres://u:s3c/ret@db/x":        "percent-encoded",
		"postgres://u:s3cret#@db/x":        "percent-encoded",
		"postgres://u:s3cret@a,b:port/x":   "malformed",
		"postgres://u:s3cret@db/x\r":       "malformed",
		"postgres://u:s3cret@db:123456/x":  "invalid port",
		"postgres://s3cret@a,b/x?target_session_attrs=standby": "target_session_attrs",
		"postgres://u:s3cret@db/x?ssl=maybe":                   "ssl",
		"postgres://u:s3cret@db/x?sslmode=no":                  "unknown value of sslmode",
		"postgres://u:s3cret@db/x?pool_max_conns=1":            "pool_max_conns",
		"postgres://u:s3cret@db/x?pool_max_conns=all":          "pool_max_conns",
	} {
		_, err := Parse(url)
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v, want %q", url, err, word)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: the refusal contains the password: %v", url, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, url := range []string{
		"sqlite+aiosqlite:///auth.db", "sqlite:////abs/path.db?timeout=1", "sqlite:///:memory:",
		"postgresql+asyncpg://u:hunter2@h:1/d?ssl=require", "postgres:///d?host=/run&pool_max_conns=4", "mysql://x",
	} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		got, err := Parse(url)
		switch {
		case err != nil:
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q: not a refusal: %v", url, err)
			}
			if strings.Contains(url, "hunter2") && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q: the refusal quotes it: %v", url, err)
			}
		case got.Engine == SQLite:
			if !filepath.IsAbs(got.Path) || strings.ContainsAny(got.Path, "\x00\n\r") || strings.Contains(got.Path, ":memory:") && filepath.Base(got.Path) == ":memory:" && !strings.Contains(url, "/:memory:") {
				t.Errorf("%q: %q", url, got.Path)
			}
		case got.Engine != Postgres || got.Server == nil || got.pool < 2:
			t.Errorf("%q: %+v", url, got)
		}
	})
}

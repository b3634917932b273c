//go:build linux

package torture

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// noDefects fails the test if the log has a 500 or a panic.
func (p *process) noDefects() {
	p.site.t.Helper()
	if lines := p.complaints(); len(lines) > 0 {
		p.site.t.Errorf("the log has %d errors, such as %s", len(lines), lines[0])
	}
}

func (s *site) file() string { return strings.TrimPrefix(s.database, "sqlite:///") }

func TestRequestsAreUnavailableWhileAnotherProcessHoldsTheLock(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.start()
	access, refresh := p.session(adminEmail)
	release := storetest.Hold(t, s.database, "BEGIN EXCLUSIVE")
	begun := time.Now()

	var waiting sync.WaitGroup
	for i := range 8 {
		waiting.Go(func() { p.unavailable("a registration", p.register(fmt.Sprintf("p%d@example.org", i))) })
	}
	p.becomesUnready()
	p.verifies(access)
	p.must(p.me(access))
	p.unavailable("a refresh", p.refresh(refresh))
	waiting.Wait()
	time.Sleep(time.Until(begun.Add(10 * time.Second)))
	release()

	p.becomesReady()
	a := p.must(p.refresh(refresh)) // the refused one was not used
	p.must(p.me(a.field("access_token")))
	p.must(p.register("p0@example.org"))
	p.noDefects()
	p.stop()
	s.sound()
}

func TestShortLockFailsNoRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.start()
	_, refresh := p.session(adminEmail)
	release := storetest.Hold(t, s.database, "BEGIN IMMEDIATE")
	done := make(chan response)
	go func() { done <- p.refresh(refresh) }()
	time.Sleep(time.Second)
	release()
	p.must(<-done)
}

// damage overwrites the pages with the numbers that the query returns.
func (s *site) damage(pages ...int) {
	s.t.Helper()
	f, err := os.OpenFile(s.file(), os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, page := range pages {
		if _, err := f.WriteAt(bytes.Repeat([]byte{0xA5}, 4096), int64(page-1)*4096); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// roots are the first pages of a table and its indexes.
func (s *site) roots(table string) []int {
	s.t.Helper()
	var pages []int
	for _, row := range storetest.Rows(s.t, s.database, "SELECT rootpage FROM sqlite_schema WHERE tbl_name = '"+table+"' AND rootpage > 0") {
		n, err := strconv.Atoi(row[0])
		if err != nil {
			s.t.Fatal(err)
		}
		pages = append(pages, n)
	}
	return pages
}

// settle creates a site with a session and moves its write-ahead log into the file,
// so that damaged pages are not read from the log.
func settle(t *testing.T) (s *site, access, refresh string) {
	t.Helper()
	s = newSite(t)
	p := s.start()
	for i := range 3 {
		p.must(p.register(fmt.Sprintf("p%d@example.org", i)))
	}
	access, refresh = p.session(adminEmail)
	p.stop()
	return s, access, refresh
}

func TestADamagedPageIsNeitherHiddenNorRepaired(t *testing.T) {
	for _, table := range []string{"users", "refresh_tokens", "refresh_families", "settings"} {
		for _, running := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/running=%v", table, running), func(t *testing.T) {
				t.Parallel()
				s, access, refresh := settle(t)
				pages := s.roots(table)
				var p *process
				if running {
					p = s.start()
					s.damage(pages...)
				} else {
					s.damage(pages...)
					if p = s.startsOrRefuses(); p == nil {
						return
					}
				}
				// Connections that are open may have the page in memory.
				p.okOrDamaged("me", p.me(access))
				p.okOrDamaged("a refresh", p.refresh(refresh))
				p.okOrDamaged("a login", p.login(adminEmail))
				p.okOrDamaged("a registration", p.register("late@example.org"))
				p.okOrDamaged("users", p.call("GET", "/api/v1/auth/users", access, nil))
				p.verifies(access)
				if !running || table == "settings" {
					p.becomesUnready()
					time.Sleep(100 * time.Millisecond)
					if got := p.status("/readyz"); got != http.StatusServiceUnavailable {
						t.Errorf("/readyz of a damaged database: %d, later than its first 503", got)
					}
				}
				p.noOtherDefects()
				p.kill()
				s.stillDamaged()
			})
		}
	}
}

// startsOrRefuses starts the program on a damaged file. The program may refuse to start,
// with one sentence; then the function returns nil.
func (s *site) startsOrRefuses() *process {
	s.t.Helper()
	p := s.launch()
	deadline := time.Now().Add(limit)
	for p.status("/openapi.json") != 200 { // 503 until the database has been opened
		select {
		case <-p.ended:
			if code := p.cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(p.tail(), "damaged") || strings.Contains(p.tail(), "goroutine ") {
				s.t.Errorf("exit code %d: %s", code, p.tail())
			}
			s.stillDamaged()
			return nil
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the program neither starts nor refuses to")
		}
	}
	return p
}

// noOtherDefects fails the test if the log has an error that is not about the damage,
// which is one, as it must be.
func (p *process) noOtherDefects() {
	p.site.t.Helper()
	lines := slices.DeleteFunc(p.complaints(), func(line string) bool {
		return strings.Contains(line, "database damaged") || strings.Contains(line, "the database is damaged") || strings.Contains(line, `"error":"database_damaged"`)
	})
	if len(lines) > 0 {
		p.site.t.Errorf("the log has %d errors, such as %s", len(lines), lines[0])
	}
}

// TestAnIndexThatLacksARowIsNoticed: no page is damaged, and every page can be read. A
// small database is refused at the start, a larger one becomes unready after it.
func TestAnIndexThatLacksARowIsNoticed(t *testing.T) {
	for _, large := range []bool{false, true} {
		t.Run(fmt.Sprintf("large=%v", large), func(t *testing.T) {
			t.Parallel()
			s, access, _ := settle(t)
			storetest.LoseIndexEntry(t, s.database)
			if large {
				storetest.Exec(t, s.database, "INSERT INTO settings (key, value) VALUES ('large', hex(randomblob(2000000)))")
			}
			p := s.launch()
			if !large {
				<-p.ended
				if code, text := p.cmd.ProcessState.ExitCode(), p.tail(); code != 2 || !strings.Contains(text, "missing from index") || !strings.Contains(text, "REINDEX") {
					t.Errorf("exit code %d: %s", code, text)
				}
				return
			}
			p.eventually("the damage is noticed", func() bool { return strings.Contains(p.tail(), "database damaged") })
			p.becomesUnready()
			if text := p.text("/metrics"); !strings.Contains(text, "\npico_auth_database_damaged 1\n") {
				t.Error("the metric does not show it")
			}
			p.okOrDamaged("me", p.me(access)) // what can be read is served
			p.noOtherDefects()
			p.kill()
			s.stillDamaged()
		})
	}
}

func (s *site) stillDamaged() {
	s.t.Helper()
	if code, out := s.run("migrate", "--check"); code == 0 {
		s.t.Errorf("the damage is not reported:\n%s", out)
	}
}

func TestANewerSchemaIsNotTouched(t *testing.T) {
	t.Parallel()
	s, _, _ := settle(t)
	storetest.Exec(t, s.database, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)")
	before := s.content()
	for _, command := range [][]string{{"serve"}, {"migrate"}} {
		code, out := s.run(command...)
		if code == 0 || !strings.Contains(out, "newer") || strings.Contains(out, "goroutine ") {
			t.Errorf("%v: exit code %d: %s", command, code, out)
		}
	}
	if !bytes.Equal(before, s.content()) {
		t.Error("the file was changed")
	}
}

func (s *site) content() []byte {
	s.t.Helper()
	b, err := os.ReadFile(s.file())
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func TestARemovedDatabaseIsNoticedAndNotReplaced(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"removed": os.Remove,
		"everything removed": func(path string) error {
			return errors.Join(os.Remove(path), os.Remove(path+"-wal"), os.Remove(path+"-shm"))
		},
		"replaced by an empty file": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			p := s.start()
			access, refresh := p.session(adminEmail)
			if err := harm(s.file()); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				p.unavailable("a refresh", p.refresh(refresh))
				p.unavailable("a registration", p.register(fmt.Sprintf("p%d@example.org", i)))
			}
			var readers sync.WaitGroup
			for range 32 { // more than there are connections
				readers.Go(func() { p.okOrUnavailable("me", p.me(access)) })
			}
			readers.Wait()
			p.becomesUnready()
			p.verifies(access)
			p.noDefects()
			p.kill()
			if _, err := os.Stat(s.file()); name != "replaced by an empty file" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there is a new file: %v", err)
			}
		})
	}
}

// The restored file is the same one, so the program recovers without a restart.
func TestRestoredDatabaseFileIsUsedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.start()
	_, refresh := p.session(adminEmail)
	away := filepath.Join(s.dir, "away.db")
	if err := os.Rename(s.file(), away); err != nil {
		t.Fatal(err)
	}
	p.unavailable("a registration", p.register("p@example.org"))
	p.becomesUnready()
	if err := os.Rename(away, s.file()); err != nil {
		t.Fatal(err)
	}
	p.becomesReady()
	p.must(p.refresh(refresh))
	p.noDefects()
	p.stop()
	s.sound()
}

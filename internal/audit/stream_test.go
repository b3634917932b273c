package audit_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func openStream(t *testing.T, path string, out *bytes.Buffer) *audit.Stream {
	t.Helper()
	s, err := audit.OpenStream(path, out, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestTheStreamHasEachEventAsALineOfJSON(t *testing.T) {
	var out bytes.Buffer
	stream := openStream(t, "stdout", &out)
	told := 0
	s := storetest.Open(t, func(c *store.Config) { c.Committed = stream.Committed(func(store.Event) { told++ }) })
	log := audit.New(audit.Config{Store: s, Stream: stream})
	u := identity.User{ID: "bob", Email: "bob@pico.example", EmailKey: "bob@pico.example", Role: identity.Viewer, OrgID: identity.DefaultOrg}
	if err := s.CreateUser(t.Context(), store.Act{Action: identity.ActionCreateUser, By: system, Detail: "viewer"}, u); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		log.FailedLogin(t.Context(), store.Act{Action: identity.ActionLogin, By: unknown}, "bob", "acme", "bob@pico.example")
	}
	log.Failed(t.Context(), store.Act{Action: identity.ActionLogin, By: unknown}, "", "") // of no user
	stream.Committed(nil)(store.Event{Action: identity.ActionRefresh})
	log.Close()
	stream.Close()
	var events []audit.Event
	for line := range strings.Lines(out.String()) {
		var ev audit.Event
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatal(err)
		}
		events = append(events, ev)
	}
	if len(events) != 5 || events[0].Action != identity.ActionCreateUser || events[4].TargetID != "" || told != 1 {
		t.Fatalf("%+v", events)
	}
	stored := map[string]bool{}
	for _, row := range rows(t, s) {
		stored[row.ID] = true
	}
	if !stored[events[0].ID] || !stored[events[1].ID] || events[1].At.IsZero() {
		t.Errorf("the stream and the table have different ids: %+v, %v", events, stored)
	}
	if strings.Contains(out.String(), "@pico.example") {
		t.Error("an address of a user is in the stream")
	}
	stream.Committed(nil)(store.Event{}) // after the end it is ignored
}

func TestTheStreamFollowsARotatedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	stream := openStream(t, path, nil)
	tell := stream.Committed(nil)
	tell(store.Event{ID: "first"})
	wait(t, path, "first")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	tell(store.Event{ID: "second"})
	wait(t, path, "second")
	if text := wait(t, path+".1", "first"); strings.Contains(text, "second") {
		t.Error("the moved file was written to")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// wait returns the text of the file as soon as it contains the words.
func wait(t *testing.T, path, words string) string {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(20 * time.Millisecond) {
		text, _ := os.ReadFile(path)
		if strings.Contains(string(text), words) {
			return string(text)
		}
	}
	t.Fatalf("%s does not have %s", path, words)
	return ""
}

// blocked is a reader of the stream that has stopped reading.
type blocked chan struct{}

func (b blocked) Write(p []byte) (int, error) {
	<-b
	return len(p), nil
}

func TestASlowReaderOfTheStreamDelaysNoRequest(t *testing.T) {
	reader, b := make(blocked), new(buffer)
	stream, err := audit.OpenStream("stdout", reader, slog.New(slog.NewJSONHandler(b, nil)))
	if err != nil {
		t.Fatal(err)
	}
	tell := stream.Committed(nil)
	for range 10_000 {
		tell(store.Event{ID: "x"})
	}
	close(reader)
	stream.Close()
	if got := b.records(t); len(got) == 0 || got[0]["msg"] != "audit stream too slow; events are in the database and the log only" {
		t.Errorf("%v", got)
	}
}

func TestAStopDoesNotWaitForAReaderThatHangs(t *testing.T) {
	reader, b := make(blocked), new(buffer)
	defer close(reader)
	stream, err := audit.OpenStream("stdout", reader, slog.New(slog.NewJSONHandler(b, nil)))
	if err != nil {
		t.Fatal(err)
	}
	tell := stream.Committed(nil)
	for range 100 {
		tell(store.Event{ID: "x"})
	}
	stream.Close()
	if got := b.records(t); len(got) != 1 || got[0]["msg"] != "audit stream not read to its end; events are in the database and the log" {
		t.Errorf("%v", got)
	}
}

func TestAStreamThatCannotBeOpenedIsAnErrorOfTheSetting(t *testing.T) {
	if _, err := audit.OpenStream(filepath.Join(t.TempDir(), "no", "folder"), nil, nil); err == nil || !strings.HasPrefix(err.Error(), "audit.stream: ") {
		t.Errorf("%v", err)
	}
	if s, err := audit.OpenStream("", nil, nil); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
}

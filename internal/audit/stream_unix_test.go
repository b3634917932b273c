//go:build unix

package audit_test

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/store"
)

// A server starts before the program that reads its events.
func TestAStreamIntoANamedPipeDoesNotWaitForItsReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	stream, err := audit.OpenStream(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	stream.Committed(nil)(store.Event{ID: "first"})
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil || !strings.Contains(line, `"id":"first"`) {
		t.Errorf("%q, %v", line, err)
	}
}

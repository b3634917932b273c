//go:build linux

package site

import (
	"runtime"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/programtest"
)

// TestMain keeps the first thread of the process, which never ends, from the tests.
func TestMain(m *testing.M) {
	runtime.LockOSThread()
	m.Run()
}

func TestProgramRunsWhenTheThreadThatStartedItEnds(t *testing.T) {
	binary, err := programtest.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(binary, t.TempDir(), map[string]string{"AUTH_ADMIN_PASSWORD": "a-long-enough-passphrase"})
	if err != nil {
		t.Fatal(err)
	}
	var p *Process
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		var err error
		p, err = s.Start(t.Context())
		started <- err
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
		t.Fatalf("the program was killed: %v", p.cmd.ProcessState)
	case <-time.After(500 * time.Millisecond):
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}

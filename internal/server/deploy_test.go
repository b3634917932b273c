package server_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// An attack must not take more memory than the machine has, so the runtime knows a limit
// wherever the repository starts the server, and keeps to one that is set.
func TestMemoryLimitIsSetAndRespected(t *testing.T) {
	for _, file := range []string{"Containerfile", "contrib/systemd/pico-auth.service"} {
		text, err := os.ReadFile(filepath.Join("..", "..", file))
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`(?m)^(ENV .*|Environment=)\bGOMEMLIMIT=\d+MiB$`).Match(text) {
			t.Errorf("%s sets no GOMEMLIMIT", file)
		}
	}
	r := newReplica(t, program(t), "sqlite:///"+filepath.Join(t.TempDir(), "auth.db"), "GOMEMLIMIT=100MiB")
	r.start()
	r.ready()
	_, metrics, _ := get(t, r.base+"/metrics", nil)
	if !strings.Contains(metrics, "go_gc_gomemlimit_bytes 1.048576e+08") {
		t.Error("the process does not keep to GOMEMLIMIT")
	}
	r.stop()
}

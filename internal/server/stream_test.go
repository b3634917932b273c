package server_test

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
)

// The program that reads standard output may end before the server.
func TestAServerOutlivesTheReaderOfItsEvents(t *testing.T) {
	r := newReplica(t, program(t), storetest.MigratedSQLite(t), "AUDIT_STREAM=stdout")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd, r.log = exec.Command(r.path, "serve"), &testrig.Buffer{}
	r.cmd.Env, r.cmd.Dir, r.cmd.Stderr, r.cmd.Stdout = r.env, strings.TrimPrefix(r.env[0], "HOME="), r.log, writer
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	_ = writer.Close()
	r.ready()
	_ = reader.Close()
	f := &fleet{t: t, replicas: []*replica{r}, client: http.DefaultClient}
	for range 3 {
		f.want(http.StatusOK, "POST", "/api/v1/auth/login", "", map[string]string{"email": rootEmail, "password": rootPassword})
	}
	server.Eventually(t, "a record of the failure", func() bool { return strings.Contains(r.log.String(), "audit stream failed") })
	r.stop()
}

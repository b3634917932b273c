//go:build linux

package server_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/server"
)

// resident is a figure of the memory of the process in KiB: VmRSS or, since its start, VmHWM.
func (r *replica) resident(figure string) int {
	r.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), figure+":")
	line, _, _ := strings.Cut(rest, " kB")
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// The attack of one address that once took 682 MiB and stopped /livez. The aim is
// 64 MiB, which all but one keep; the test allows for the noise of a busy machine.
func TestMemoryIsBoundedWhileOneAddressAttacks(t *testing.T) {
	const most = 80 << 10 // KiB
	dir := t.TempDir()
	cert, key := server.WriteCertificate(t, dir, 1)
	path := program(t)
	post := func(length, sent int) string {
		return fmt.Sprintf("POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{", length) + strings.Repeat(" ", sent)
	}
	many := "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\n"
	for i := range 4000 {
		many += strconv.FormatInt(int64(i), 36) + ":\r\n"
	}
	forwarded := "GET /docs HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n"
	for name, c := range map[string]struct {
		env         []string
		connections int
		text        string
		factor      int // of the bound; 0: 1
	}{
		"idle":                    {nil, 4200, "", 0},
		"idle after a request":    {nil, 4200, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 0},
		"slow bodies":             {nil, 1000, post(4096, 4000), 0},
		"slow bodies, long":       {nil, 1000, post(65536, 60_000), 0},
		"slow bodies, chunked":    {nil, 1000, strings.Replace(post(0, 0), "Content-Length: 0", "Transfer-Encoding: chunked", 1) + "ff0\r\n" + strings.Repeat(" ", 0xfe0), 0},
		"half a header":           {nil, 1000, "GET /docs HTTP/1.1\r\nHost: localhost\r\nX-A: " + strings.Repeat("a", 30<<10), 0},
		"many headers":            {nil, 1000, "GET /docs HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("A: b\r\n", 5000), 0},
		"many different headers":  {nil, 1000, many, 0},
		"many headers, slow body": {nil, 1000, many + "Content-Type: application/json\r\nContent-Length: 4000\r\n\r\n{", 0},
		// It may have ten times as many connections.
		"a proxy that is not named":   {nil, 4200, forwarded, 2},
		"idle, TLS":                   {[]string{"SERVER_TLS_CERT=" + cert, "SERVER_TLS_KEY=" + key}, 4200, "", 0},
		"half a handshake":            {[]string{"SERVER_TLS_CERT=" + cert, "SERVER_TLS_KEY=" + key}, 4200, "\x16\x03\x01\x3f\xff\x01\x00\xff\xfc" + strings.Repeat("a", 15<<10), 0},
		"responses that are not read": {nil, 1000, strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", 50), 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica(t, path, "sqlite:///"+filepath.Join(t.TempDir(), "auth.db"), c.env...)
			base := r.base
			if c.env != nil {
				base = "https" + strings.TrimPrefix(base, "http")
			}
			r.start()
			health := func() int {
				var status int
				for range 200 {
					status, _ = tryHealth(t, base)
					if status == http.StatusOK {
						break
					}
					time.Sleep(50 * time.Millisecond)
				}
				return status
			}
			health()
			before := r.resident("VmRSS")
			var all sync.WaitGroup
			var attackers []*attacker
			for range 8 {
				a := attack(t, base, "127.0.0.1")
				attackers = append(attackers, a)
				all.Go(func() { a.hold(c.connections/8, c.text) })
			}
			all.Wait()
			if status, took := tryHealth(t, base); status != http.StatusOK {
				t.Errorf("/livez under the attack: %d after %v", status, took)
			}
			time.Sleep(time.Second)
			peak := r.resident("VmHWM")
			t.Logf("%s: resident %d KiB before, at most %d KiB", name, before, peak)
			if bound := most * max(c.factor, 1); peak > bound {
				t.Errorf("resident memory rose from %d to %d KiB, want at most %d", before, peak, bound)
			}
			for _, a := range attackers {
				a.leave()
			}
			r.stop()
		})
	}
}

// tryHealth requests /livez over a new connection.
func tryHealth(t *testing.T, base string) (status int, took time.Duration) {
	t.Helper()
	start := time.Now()
	client := http.Client{Transport: insecure(), Timeout: 20 * time.Second}
	res, err := client.Get(base + "/livez")
	if err != nil {
		return 0, time.Since(start)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, time.Since(start)
}

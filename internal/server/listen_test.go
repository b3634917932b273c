package server_test

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/server"
)

// Go's own listener takes 0.0.0.0 for every interface of IPv6 as well.
func TestListenersAcceptTheAddressFamiliesThatTheyName(t *testing.T) {
	if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("NOT TESTED: this machine has no IPv6")
	} else {
		_ = ln.Close()
	}
	for _, c := range []struct {
		host, metrics string
		v4, v6        bool
		says          string
	}{
		{"0.0.0.0", "0.0.0.0:0", true, false, " (every interface, IPv4 only)"},
		{"::ffff:0.0.0.0", "[::ffff:0.0.0.0]:0", true, false, " (every interface, IPv4 only)"},
		{"::", "[::]:0", true, true, " (every interface, IPv4 and IPv6)"},
		{"127.0.0.1", "127.0.0.1:0", true, false, ""},
		{"::1", "[::1]:0", false, true, ""},
	} {
		serve := func() (wrong []string) {
			s := start(t, t.TempDir(), func(cfg *config.Config) {
				cfg.Auth.AdminPassword = "a-good-passphrase"
				cfg.Server.Host, cfg.Server.MetricsListen = c.host, c.metrics
			})
			for _, base := range []string{s.base, metricsBase(t, s.out.String())} {
				for address, want := range map[string]bool{"127.0.0.1": c.v4, "::1": c.v6} {
					if got := accepts(t, base, address); got != want {
						wrong = append(wrong, fmt.Sprintf("%s (%s): %s is served: %v", c.host, base, address, got))
					}
				}
			}
			if said := strings.Count(s.out.String(), c.says+"\n"); c.says != "" && said != 2 {
				t.Errorf("%s: the start does not say where both listen:\n%s", c.host, s.out)
			}
			if err := s.stop(); err != nil {
				t.Error(err)
			}
			return wrong
		}
		wrong := serve()
		if len(wrong) > 0 {
			wrong = serve() // another program may have had the free port in the other family
		}
		if len(wrong) > 0 {
			t.Error(strings.Join(wrong, "\n"))
		}
	}
}

// accepts reports whether the port of the base is served at the address.
func accepts(t *testing.T, base, address string) bool {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(address, u.Port()))
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// metricsBase is the address of the metrics that the start prints.
func metricsBase(t *testing.T, out string) string {
	t.Helper()
	found := regexp.MustCompile(`metrics +(http://(\S+))/metrics`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no metrics:\n%s", out)
	}
	if _, err := netip.ParseAddrPort(found[2]); err != nil {
		t.Fatal(err)
	}
	return found[1]
}

func TestStartNamesTheAPIPageUnderThePathOfTheIssuer(t *testing.T) {
	s := start(t, t.TempDir(), func(c *config.Config) { c.Auth.Issuer = "https://example.com/auth" })
	found := regexp.MustCompile(`API page +(http\S+/auth/docs)\n`).FindStringSubmatch(s.out.String())
	if found == nil {
		t.Fatal(s.out)
	}
	if status, _, _ := get(t, strings.Replace(found[1], "//localhost", "//127.0.0.1", 1), nil); status != 200 {
		t.Errorf("%s: %d", found[1], status)
	}
}

func TestAnAddressThatCannotBeListenedOnIsRefusedWithWhatToSet(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	for want, change := range map[string]func(*config.Config){
		"server.host and server.port: " + address + ": address already in use; stop the program that uses this address, or set another server.port (SERVER_PORT)": func(c *config.Config) {
			c.Server.Port = taken.Addr().(*net.TCPAddr).Port
		},
		"server.metrics_listen: " + address + ": address already in use; stop the program that uses this address, or set another server.metrics_listen (SERVER_METRICS_LISTEN)": func(c *config.Config) {
			c.Server.MetricsListen = address
		},
		"server.host and server.port: 192.0.2.1:8100: cannot assign requested address; this machine does not have this address: set one that it has": func(c *config.Config) {
			c.Server.Host, c.Server.Port, c.Auth.AdminPassword = "192.0.2.1", 8100, "a-good-passphrase"
		},
	} {
		cfg := testConfig(t.TempDir())
		change(&cfg)
		s, err := server.New(t.Context(), server.Config{Config: cfg})
		if err == nil {
			_ = s.Close()
		}
		if err == nil || err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

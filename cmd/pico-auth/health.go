package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

type healthCmd struct {
	Timeout time.Duration `default:"3s" help:"How long to wait for the response."`
}

// Help is the end of `pico-auth health --help`.
func (healthCmd) Help() string {
	return `It requests /readyz at the configured address; the exit code is 0 if the server is ready, else 1.

Example, in a Containerfile:

    HEALTHCHECK CMD ["/pico-auth", "health"]`
}

// Run requests the readiness of the server with the same configuration.
func (c healthCmd) Run(sh *shell) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	url := cfg.Server.LocalURL() + "/readyz"
	place := url
	if cfg.Server.Listen != "" {
		place = cfg.Server.Listen
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := localClient(cfg.Server.Socket()).Do(req)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s did not respond within %s", place, c.Timeout)
	}
	if dial, failed := errors.AsType[*net.OpError](err); failed && dial.Op == "dial" {
		return fmt.Errorf("no server answers at %s (%w): is it running, with this configuration?", place, rootCause(err))
	}
	if err != nil {
		return fmt.Errorf("%s does not respond: %w", place, rootCause(err))
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s responds with %s", place, resp.Status)
	}
	return sh.say("ready\n")
}

// localClient connects to this machine only, to the socket if there is one, and uses no
// proxy. The certificate is for the public name and nothing secret is sent, so it is not
// checked.
func localClient(socket string) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if socket != "" {
					network, address = "unix", socket
				}
				return (&net.Dialer{}).DialContext(ctx, network, address)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// rootCause is the innermost error: the outer ones repeat the address.
func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

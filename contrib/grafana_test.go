//go:build linux

package contrib

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/programtest"
)

type panel struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	GridPos struct{ H, W, X, Y int }
	Targets []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
}

func dashboard(t *testing.T) (panels []panel) {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash("grafana/pico-auth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		UID    string  `json:"uid"`
		Panels []panel `json:"panels"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if file.UID == "" || len(file.Panels) < 20 {
		t.Fatalf("the dashboard %q has %d panels", file.UID, len(file.Panels))
	}
	return file.Panels
}

// prometheus starts a Prometheus with our configuration that scrapes the server each
// second, and returns its address.
func prometheus(t *testing.T, s *server) string {
	t.Helper()
	path, dir, port, log := tool(t, "prometheus"), t.TempDir(), programtest.FreePort(t), &text{}
	rules, err := filepath.Abs("prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := write(t, dir, "prometheus.yml", replaced(t, "prometheus/prometheus.yml",
		"15s", "1s", "alerts.yml", rules, "127.0.0.1:9100", "127.0.0.1:"+s.metrics))
	address := "127.0.0.1:" + port
	cmd := exec.Command(path, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = log, log
	run(t, cmd)
	await(t, "Prometheus is not ready", log, func() bool { return status("http://"+address+"/-/ready") == 200 })
	return "http://" + address
}

// ask asks Prometheus, and returns what it responds under data.
func ask(t *testing.T, address string, into any) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var response struct {
		Error string          `json:"error"`
		Data  json.RawMessage `json:"data"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&response); err != nil {
		t.Fatal(err)
	}
	if response.Error != "" {
		t.Fatalf("%s: %s", address, response.Error)
	}
	if err := json.Unmarshal(response.Data, into); err != nil {
		t.Fatal(err)
	}
}

// values returns the numbers that a query yields.
func values(t *testing.T, prometheus, query string) (numbers []float64) {
	t.Helper()
	var data struct {
		Result []struct {
			Value [2]any `json:"value"`
		} `json:"result"`
	}
	ask(t, prometheus+"/api/v1/query?query="+url.QueryEscape(query), &data)
	for _, r := range data.Result {
		number, err := strconv.ParseFloat(r.Value[1].(string), 64)
		if err != nil {
			t.Fatal(err)
		}
		if number == number { // it is a number
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// Every panel of the dashboard shows something of a server with traffic, in a real
// Prometheus, which also evaluates every alert.
func TestDashboardShowsARunningServer(t *testing.T) {
	t.Parallel()
	s := newServer(t, "GOMEMLIMIT=256MiB")
	p := prometheus(t, s)
	traffic(t, s)
	await(t, "Prometheus has not scraped the server", s.log, func() bool { return len(values(t, p, "rate(pico_auth_logins_total[1m])")) > 0 })
	variables := strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m")
	ids, queries := map[int]bool{}, []string{}
	for _, panel := range dashboard(t) {
		if ids[panel.ID] || panel.GridPos.X+panel.GridPos.W > 24 || panel.GridPos.H == 0 {
			t.Errorf("the panel %q has the ID %d and the place %v", panel.Title, panel.ID, panel.GridPos)
		}
		ids[panel.ID] = true
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("the panel %q shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			queries = append(queries, variables.Replace(target.Expr))
		}
	}
	if len(queries) < 40 {
		t.Errorf("only %d expressions", len(queries))
	}
	defer func() {
		if t.Failed() {
			t.Logf("no data of: %s", strings.Join(queries, "\n"))
		}
	}()
	// A rate needs a request of the route between two scrapes.
	await(t, "a panel has no data", s.log, func() bool {
		traffic(t, s)
		queries = slices.DeleteFunc(queries, func(query string) bool { return len(values(t, p, query)) > 0 })
		return len(queries) == 0
	})
	var rules struct {
		Groups []struct {
			Rules []struct {
				Name, Health, LastError, State string
			}
		}
	}
	await(t, "the alerts were not evaluated", s.log, func() bool {
		ask(t, p+"/api/v1/rules", &rules)
		return len(rules.Groups) == 1 && len(rules.Groups[0].Rules) > 0 && rules.Groups[0].Rules[0].Health != "unknown"
	})
	for _, r := range rules.Groups[0].Rules {
		if r.Health != "ok" || r.State == "firing" {
			t.Errorf("%s is %s, %s: %s", r.Name, r.Health, r.State, r.LastError)
		}
	}
}

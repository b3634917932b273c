//go:build linux

package contrib

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type alert struct {
	Name string `yaml:"alert"`
	Expr string `yaml:"expr"`
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	b, err := os.ReadFile(filepath.FromSlash("prometheus/alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 15 {
		t.Fatalf("only %d alerts", len(all))
	}
	return all
}

// Each alert fires and does not fire as alerts_test.yml says, and docs/operations.md says
// what to do about it.
func TestAlertsFireAndAreDocumented(t *testing.T) {
	tests, err := os.ReadFile(filepath.FromSlash("prometheus/alerts_test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile(filepath.FromSlash("../docs/operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts(t) {
		if n := strings.Count(string(tests), "alertname: "+a.Name+"\n"); n < 2 {
			t.Errorf("alerts_test.yml has %d tests of %s", n, a.Name)
		}
		if !strings.Contains(string(manual), "\n| `"+a.Name+"` | ") {
			t.Errorf("docs/operations.md has no row for %s", a.Name)
		}
	}
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.Command(tool(t, "promtool"), args...)
		cmd.Dir = "prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// sample is one line of /metrics.
type sample struct {
	name   string
	labels map[string]string
}

var (
	selector = regexp.MustCompile(`\b(?:pico_auth|process|go|up)(?:_\w+)?\b(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
	line     = regexp.MustCompile(`(?m)^(\w+)(?:\{(.*)\})? \S+$`)
)

func samples(text string) (all []sample) {
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		s := sample{m[1], map[string]string{}}
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			s.labels[l[1]] = l[3]
		}
		if job, found := s.labels["job"]; found { // Prometheus has a job and an instance of its own
			s.labels["exported_job"] = job
		}
		s.labels["job"], s.labels["instance"] = "pico-auth", "127.0.0.1:9100"
		all = append(all, s)
	}
	return append(all, sample{"up", map[string]string{"job": "pico-auth", "instance": "127.0.0.1:9100"}})
}

// checkSelectors requires that each metric, label and value of an expression is one that
// the server has.
func checkSelectors(t *testing.T, where, expr string, all []sample) {
	t.Helper()
	labels := map[string]bool{}
	found := selector.FindAllStringSubmatch(expr, -1)
	if len(found) == 0 {
		t.Errorf("%s has no metric: %s", where, expr)
	}
	for _, m := range found {
		name, _, _ := strings.Cut(m[0], "{")
		have := slices.DeleteFunc(slices.Clone(all), func(s sample) bool { return s.name != name })
		if len(have) == 0 {
			t.Errorf("%s: the server has no metric %s", where, name)
			continue
		}
		for l := range have[0].labels {
			labels[l] = true
		}
		for _, match := range matcher.FindAllStringSubmatch(m[1], -1) {
			label, values := match[1], []string{match[3]}
			if strings.Contains(match[2], "~") {
				values = strings.Split(match[3], "|")
			}
			for _, value := range values {
				pattern := regexp.MustCompile("^(?:" + value + ")$")
				if match[2] == "=" || match[2] == "!=" {
					pattern = regexp.MustCompile("^" + regexp.QuoteMeta(value) + "$")
				}
				if !slices.ContainsFunc(have, func(s sample) bool { v, has := s.labels[label]; return has && pattern.MatchString(v) }) {
					t.Errorf("%s: no %s has %s %q", where, name, label, value)
				}
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(g[1], ",") {
			if label = strings.TrimSpace(label); !labels[label] {
				t.Errorf("%s: no metric of %q has the label %s", where, expr, label)
			}
		}
	}
}

// traffic makes requests of each kind that alerts and dashboard tell apart, a 5xx among
// them.
func traffic(t *testing.T, s *server) {
	t.Helper()
	base := "http://127.0.0.1:" + s.port
	post := func(path, media, body string) string {
		resp, err := http.Post(base+path, media, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		content, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	var pair struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(post("/api/v1/auth/login", "application/json", login)), &pair); err != nil {
		t.Fatal(err)
	}
	post("/api/v1/auth/refresh", "application/json", fmt.Sprintf(`{"refresh_token":%q}`, pair.Refresh))
	post("/oauth2/token", "application/x-www-form-urlencoded", "grant_type=client_credentials")
	post("/sign-in", "application/x-www-form-urlencoded", "email=a")
	for _, path := range []string{"/api/v1/auth/me", "/.well-known/jwks.json", "/livez", "/nothing"} {
		status(base + path)
	}
}

// Alerts are about metrics, labels and values that a running server has.
func TestAlertsAreAboutMetricsThatExist(t *testing.T) {
	s := newServer(t)
	traffic(t, s)
	all := append(samples(s.scrape()), sample{"pico_auth_http_requests_total", map[string]string{"status": "503"}})                  // nothing fails here
	all = append(all, sample{"pico_auth_job_last_success_timestamp_seconds", map[string]string{"exported_job": "default_password"}}) // of a public issuer that has it
	for _, a := range alerts(t) {
		checkSelectors(t, a.Name, a.Expr, all)
	}
}

package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// records returns the records of the log so far with that message.
func (s *running) records(message string) (found []map[string]any) {
	s.t.Helper()
	for line := range strings.Lines(s.log.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			s.t.Fatal(err)
		}
		if record["msg"] == message {
			found = append(found, record)
		}
	}
	return found
}

func TestProbesAndScrapesAreLoggedOnlyWhenTheyFail(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		if status, _, _ := get(t, s.base+path, nil); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _, _ := get(t, s.base+"/metrics", http.Header{"Forwarded": {"for=192.0.2.1"}}); status != http.StatusNotFound {
		t.Errorf("a scrape from elsewhere: %d", status)
	}
	s.must("GET", "/api/v1/auth/jwks", "", nil)
	var routes []any
	for _, r := range s.records("request") {
		routes = append(routes, r["route"])
	}
	if len(routes) != 2 || routes[0] != "GET /metrics" || routes[1] != "GET /api/v1/auth/jwks" {
		t.Errorf("requests in the log: %v", routes)
	}
}

// Trace Context 3: every record about the request names its trace, those of the audit
// log that are written after the commit too.
func TestRecordsOfARequestNameItsTrace(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	s := start(t, t.TempDir(), nil)
	logIn := func(traceparent string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+"/api/v1/auth/login",
			strings.NewReader(`{"email":"admin@pico.local","password":"admin"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("traceparent", traceparent)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("log in: %d", resp.StatusCode)
		}
	}
	logIn("00-" + id + "-00f067aa0ba902b7-01")
	logIn("00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01") // not valid
	for _, message := range []string{"request", "login"} {
		records := s.records(message)
		if len(records) != 2 {
			t.Fatalf("%d records %q", len(records), message)
		}
		if got, other := records[0]["trace_id"], records[1]["trace_id"]; got != id || other != nil {
			t.Errorf("%s: trace_id %v, of an invalid header %v", message, got, other)
		}
	}
}

package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/config"
)

// An operator who asks any of them which version runs gets the same one.
func TestTheVersionOfTheProgramIsShownEverywhere(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil)
	_, document, _ := get(t, s.base+"/openapi.json", nil)
	var api struct{ Info struct{ Version string } }
	if err := json.Unmarshal([]byte(document), &api); err != nil || api.Info.Version != "test" {
		t.Errorf("/openapi.json: %q, %v", api.Info.Version, err)
	}
	if _, page, _ := get(t, s.base+"/", http.Header{"Accept": {"text/html"}}); !strings.Contains(page, "test</") {
		t.Errorf("the page of / has no version: %s", page)
	}
	if _, metrics, _ := get(t, s.base+"/metrics", nil); !strings.Contains(metrics, `pico_auth_build_info{version="test"} 1`) {
		t.Error("/metrics has no version")
	}
	if !strings.HasPrefix(s.out.String(), "pico-auth test\n") {
		t.Errorf("the start prints %s", s.out)
	}
}

// fastapi.version, a setting of the Python server, changes what the API is called, and not
// what the metrics say about the program.
func TestAVersionOfTheConfigurationIsThatOfTheAPIOnly(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), func(c *config.Config) { c.FastAPI.Version = "9.9" })
	if _, document, _ := get(t, s.base+"/openapi.json", nil); !strings.Contains(document, `"version":"9.9"`) {
		t.Error("/openapi.json has another version")
	}
	if _, metrics, _ := get(t, s.base+"/metrics", nil); !strings.Contains(metrics, `pico_auth_build_info{version="test"} 1`) {
		t.Error("/metrics has another version")
	}
}

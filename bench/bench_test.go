//go:build linux

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBenchMeasuresTheRealProgram runs two scenarios, as shortly as they can
// be, and judges no number.
func TestBenchMeasuresTheRealProgram(t *testing.T) {
	dir := t.TempDir()
	for name, source := range map[string]string{"pico-auth": "../cmd/pico-auth", "bench": "."} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, name), source)
		build.Env = append(build.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	out, err := exec.Command(filepath.Join(dir, "bench"), "-quick", "-only", "read,refresh",
		"-binary", filepath.Join(dir, "pico-auth"), "-dir", dir, "-out", filepath.Join(dir, "result.json")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, path := range []string{"GET /me", "key set", "refresh, RS256", "refresh, ML-DSA-65"} {
		if !strings.Contains(string(out), "\n"+path) {
			t.Errorf("no row %q in\n%s", path, out)
		}
	}
}

// TestOnlyKnownScenariosAreChosen: a slip of the pen is not an empty table.
func TestOnlyKnownScenariosAreChosen(t *testing.T) {
	if _, err := choose(options{only: "login,nothing"}); err == nil {
		t.Error("a scenario that does not exist was chosen")
	}
	chosen, err := choose(options{only: "read,login"})
	if err != nil || len(chosen) != 2 || chosen[0].name != "login" {
		t.Errorf("%v, %v", chosen, err)
	}
}

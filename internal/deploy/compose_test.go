package deploy

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/pico-auth/pico-auth/internal/config"
)

const repository = "../.."

// compose is what these tests read of compose.yaml.
type compose struct {
	Services map[string]service
	Networks map[string]struct {
		Ipam struct{ Config []struct{ Subnet string } }
	}
	Secrets map[string]struct{ File string }
}

type service struct {
	Image       string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Environment map[string]string
	Secrets     []string
	Volumes     []string
	Ports       []string
	Networks    []string
	Healthcheck struct{ Test []string }
}

// volume is the source of the volume that the service has at target.
func (s service) volume(target string) string {
	for _, volume := range s.Volumes {
		if parts := strings.Split(volume, ":"); parts[1] == target {
			return parts[0]
		}
	}
	return ""
}

func readCompose(t *testing.T) compose {
	t.Helper()
	var file compose
	if err := yaml.Unmarshal(read(t, "compose.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// read returns a file of the repository.
func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// documents decodes every document of a YAML text as JSON would be.
func documents(t *testing.T, text []byte) (all []any) {
	t.Helper()
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var document any
		if err := decoder.Decode(&document); err != nil {
			if len(all) == 0 {
				t.Fatal(err)
			}
			return all
		}
		all = append(all, document)
	}
}

// schema compiles a schema of testdata, perhaps a part of it.
func schema(t *testing.T, location string) *jsonschema.Schema {
	t.Helper()
	compiled, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", location))
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func TestComposeFileFollowsTheSpecification(t *testing.T) {
	spec := schema(t, "compose-spec.json")
	text := read(t, "compose.yaml")
	if err := spec.Validate(documents(t, text)[0]); err != nil {
		t.Error(err)
	}
	wrong := bytes.Replace(text, []byte("start_period"), []byte("start_perod"), 1)
	if spec.Validate(documents(t, wrong)[0]) == nil {
		t.Error("a wrong name is valid")
	}
}

func TestComposeStartsServicesWhenWhatTheyNeedIsHealthy(t *testing.T) {
	file := readCompose(t)
	for name, s := range file.Services {
		if len(s.Healthcheck.Test) < 2 || s.Healthcheck.Test[0] != "CMD" {
			t.Errorf("%s has no health check without a shell", name)
		}
		for other, dependency := range s.DependsOn {
			if _, ok := file.Services[other]; !ok || dependency.Condition != "service_healthy" {
				t.Errorf("%s does not wait until %s is healthy", name, other)
			}
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s is open to other machines: %s", name, port)
			}
		}
	}
	if len(file.Services) != 4 {
		t.Errorf("%d services", len(file.Services))
	}
}

// A copy of the file on the Internet must not be a password.
func TestComposeHasNoPasswords(t *testing.T) {
	file, dir := readCompose(t), filepath.Join(t.TempDir(), "secrets")
	makeSecrets(t, dir)
	for name, s := range file.Services {
		for variable, value := range s.Environment {
			secret := strings.Contains(variable, "PASSWORD") || strings.Contains(variable, "KEY") || strings.HasPrefix(variable, "DATABASE_URL")
			path, inside := strings.CutPrefix(value, "/run/secrets/")
			if secret != inside {
				t.Errorf("%s: %s is %q", name, variable, value)
			}
			if inside && !slices.Contains(s.Secrets, path) {
				t.Errorf("%s: %s names a secret that the service does not have", name, variable)
			}
		}
	}
	for name, secret := range file.Secrets {
		path := filepath.Join(dir, strings.TrimPrefix(secret.File, "./secrets/"))
		if info, err := os.Stat(path); err != nil || info.Size() < 32 || info.Mode().Perm() != 0o644 {
			t.Errorf("secrets.sh does not make %s as a file that containers can read: %v", name, err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the secrets is open: %v", err)
	}
	before, _ := os.ReadFile(filepath.Join(dir, "master_key"))
	makeSecrets(t, dir)
	if after, err := os.ReadFile(filepath.Join(dir, "master_key")); err != nil || !bytes.Equal(before, after) {
		t.Error("a second run replaces secrets")
	}
}

// A secret that was made in part would be kept by every later run: an empty one is a
// password that everyone knows.
func TestSecretsAreWholeOrNotThere(t *testing.T) {
	bin, dir := t.TempDir(), filepath.Join(t.TempDir(), "secrets")
	makeSecrets(t, filepath.Join(t.TempDir(), "secrets")) // skips where it cannot run
	if err := os.WriteFile(filepath.Join(bin, "openssl"), []byte("#!/bin/sh\nprintf half\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := secrets(dir)
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("secrets.sh succeeds without openssl: %s", out)
	}
	for name, secret := range readCompose(t).Secrets {
		if path := filepath.Join(dir, filepath.Base(secret.File)); exists(path) {
			t.Errorf("%s was made without openssl", name)
		}
	}
	makeSecrets(t, dir)
	for name, secret := range readCompose(t).Secrets {
		if info, err := os.Stat(filepath.Join(dir, filepath.Base(secret.File))); err != nil || info.Size() < 32 {
			t.Errorf("%s is not made by the next run: %v", name, err)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func secrets(dir string) *exec.Cmd {
	return exec.Command("sh", filepath.Join(repository, "contrib/compose/secrets.sh"), dir)
}

func makeSecrets(t *testing.T, dir string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("files have no mode there")
	}
	if out, err := secrets(dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("secrets.sh: %v: %s", err, out)
	}
}

func TestComposeConfiguresTheServerWithoutWarnings(t *testing.T) {
	dir := t.TempDir()
	makeSecrets(t, dir)
	auth := readCompose(t).Services["auth"]
	environment := map[string]string{"HOME": dir, "SERVER_HOST": "::"} // of the image
	for variable, value := range auth.Environment {
		path, inside := strings.CutPrefix(value, "/run/secrets")
		if inside {
			value = filepath.Join(dir, path)
			if err := os.Chmod(value, 0o600); err != nil { // here others could read it
				t.Fatal(err)
			}
		}
		environment[variable] = value
	}
	cfg := load(t, filepath.Join(repository, auth.volume("/data/application.yaml")), environment)
	if len(cfg.Clients) != 1 {
		t.Errorf("%d clients", len(cfg.Clients))
	}
	if url := cfg.Database.Redacted(); !strings.Contains(url, "@database/auth") {
		t.Errorf("database.url is %s", url)
	}
}

// load reads a configuration, in which no fault, warning or unknown variable may be.
func load(t *testing.T, file string, environment map[string]string) config.Config {
	t.Helper()
	var variables []string
	for name, value := range environment {
		variables = append(variables, name+"="+value)
	}
	cfg, warnings, err := config.Load(config.Options{File: file, Environ: variables})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %q", err, warnings)
	}
	known := map[string]bool{"GOMEMLIMIT": true, "HOME": true}
	for _, s := range cfg.Settings() {
		variable := strings.ToUpper(strings.ReplaceAll(s.Key, ".", "_"))
		known[variable], known[variable+"_FILE"] = true, true
	}
	for name := range environment {
		if !known[name] {
			t.Errorf("%s is no setting", name)
		}
	}
	return cfg
}

// order returns the services so that each comes after what it depends on.
func (c compose) order() (names []string, err error) {
	for len(names) < len(c.Services) {
		before := len(names)
		for name, s := range c.Services {
			ready := !slices.Contains(names, name)
			for other := range s.DependsOn {
				ready = ready && slices.Contains(names, other)
			}
			if ready {
				names = append(names, name)
			}
		}
		if len(names) == before {
			return nil, fmt.Errorf("services depend on each other: %v", names)
		}
	}
	return names, nil
}

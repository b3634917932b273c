package repotest

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// workflow is what these rules read of a file of .github/workflows.
type workflow struct {
	Permissions map[string]string `yaml:"permissions"`
	Concurrency map[string]any    `yaml:"concurrency"`
	Jobs        map[string]struct {
		Uses    string `yaml:"uses"`
		Timeout int    `yaml:"timeout-minutes"`
		Steps   []struct {
			Uses string `yaml:"uses"`
			Run  string `yaml:"run"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
}

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	files, err := filepath.Glob(root + "/.github/workflows/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	all := map[string]workflow{}
	for _, name := range files {
		var w workflow
		if err := yaml.Unmarshal(read(t, name), &w); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[filepath.Base(name)] = w
	}
	return all
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A token that a workflow does not need cannot be stolen from it, and a job that hangs
// or is outdated ends.
func TestWorkflowsHaveLeastPermissionsAndEnd(t *testing.T) {
	for name, w := range workflows(t) {
		if diff := cmp.Diff(map[string]string{"contents": "read"}, w.Permissions); diff != "" {
			t.Errorf("%s: permissions of all jobs (-want +got):\n%s", name, diff)
		}
		if w.Concurrency["group"] == nil {
			t.Errorf("%s: no concurrency group", name)
		}
		for id, job := range w.Jobs {
			if job.Uses == "" && (job.Timeout == 0 || job.Timeout > 60) {
				t.Errorf("%s: job %s: timeout-minutes is %d, want 1 to 60", name, id, job.Timeout)
			}
		}
	}
}

var pinned = regexp.MustCompile(`^uses: (\./\S+|\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$`)

// A tag of an action can be moved to other code; a commit cannot.
func TestActionsArePinnedByCommit(t *testing.T) {
	for name := range workflows(t) {
		for line := range strings.Lines(string(read(t, root+"/.github/workflows/"+name))) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "- ")
			if strings.HasPrefix(line, "uses:") && !pinned.MatchString(line) {
				t.Errorf("%s: %q: want ACTION@COMMIT # vVERSION", name, line)
			}
		}
	}
}

// What must hold before a change lands is one script, and not written down a second time
// in the language of one host.
func TestAWorkflowCallsTheScript(t *testing.T) {
	for _, step := range workflows(t)["ci.yml"].Jobs["all"].Steps {
		if step.Run == ".ci/run" {
			return
		}
	}
	t.Error("no step of the job `all` in ci.yml runs .ci/run")
}

// ecosystems are the files by which a package manager is recognized.
var ecosystems = map[string]string{"go.mod": "gomod", "package.json": "npm", "requirements.txt": "pip", "pom.xml": "maven"}

// A module that is not listed gets no updates.
func TestDependencyUpdatesCoverEveryModule(t *testing.T) {
	want := map[string][]string{"github-actions": {"/"}}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := entry.Name(); entry.IsDir() && (slices.Contains([]string{"testdata", "node_modules", "bin", "dist"}, base) || strings.HasPrefix(base, ".") && base != "..") {
			return fs.SkipDir
		}
		if e := ecosystems[entry.Name()]; e != "" {
			folder, err := filepath.Rel(root, filepath.Dir(name))
			want[e] = append(want[e], path.Join("/", filepath.ToSlash(folder)))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Updates []struct {
			Ecosystem   string   `yaml:"package-ecosystem"`
			Directory   string   `yaml:"directory"`
			Directories []string `yaml:"directories"`
		} `yaml:"updates"`
	}
	if err := yaml.Unmarshal(read(t, root+"/.github/dependabot.yml"), &file); err != nil {
		t.Fatal(err)
	}
	listed := map[string][]string{}
	for _, u := range file.Updates {
		listed[u.Ecosystem] = append(u.Directories, u.Directory)
	}
	for _, e := range slices.Sorted(maps.Keys(want)) {
		for _, folder := range want[e] {
			if !slices.Contains(listed[e], folder) {
				t.Errorf("dependabot.yml: %s does not list %s", e, folder)
			}
		}
	}
}

var (
	releaseHeading = regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\]`)
	packageVersion = regexp.MustCompile(`(?m)^(?:  |      )"version": "([^"]+)"`) // its own, not those that it needs
	imageVersion   = regexp.MustCompile(`/pico-auth:([^\s]+)`)
)

// What is published with a release, or tells users to take it, has its version.
func TestFilesThatNameTheVersionNameTheReleasedOne(t *testing.T) {
	latest := releaseHeading.FindSubmatch(read(t, root+"/CHANGELOG.md"))
	if latest == nil {
		t.Fatal("CHANGELOG.md has no release")
	}
	for name, c := range map[string]struct {
		form *regexp.Regexp
		n    int
	}{
		"clients/js/package.json": {packageVersion, 1}, "clients/js/package-lock.json": {packageVersion, 2}, "contrib/kubernetes/pico-auth.yaml": {imageVersion, 2},
	} {
		found := c.form.FindAllSubmatch(read(t, root+"/"+name), -1)
		if len(found) < c.n {
			t.Errorf("%s names %d versions, want %d", name, len(found), c.n)
		}
		for _, m := range found[:min(c.n, len(found))] {
			if string(m[1]) != string(latest[1]) {
				t.Errorf("%s has the version %s, and the latest release of CHANGELOG.md is %s", name, m[1], latest[1])
			}
		}
	}
}

// Who takes the image `latest`, or the latest release, must not get an earlier minor one
// because that had a patch.
func TestOnlyTheHighestVersionIsTheLatest(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash")
	}
	const tags = "v0.9.1\nv0.10.0\nv0.4.0\nv1.0.0-rc.1\nvalue\nv0.9.12\n"
	for version, want := range map[string]bool{
		"v0.10.0": true, "v0.10.1": true, "v0.11.0": true, "v1.0.0": true,
		"v0.9.13": false, "v0.4.1": false, "v0.9.1": false, "v1.0.0-rc.1": false, "v1.0.0-rc.2": false, "v0.100": false, "": false,
	} {
		cmd := exec.CommandContext(t.Context(), "bash", root+"/tools/latest.sh", version)
		cmd.Stdin = strings.NewReader(tags)
		if got := cmd.Run() == nil; got != want {
			t.Errorf("%q is the latest: %v", version, got)
		}
	}
	for _, step := range workflows(t)["release.yml"].Jobs["publish"].Steps {
		if strings.Contains(step.Run, ":latest") && !strings.Contains(step.Run, `| tools/latest.sh "$GITHUB_REF_NAME"; then`) ||
			strings.Contains(step.Run, "gh release create") && !strings.Contains(step.Run, `--latest="$LATEST"`) {
			t.Errorf("release.yml makes every version the latest:\n%s", step.Run)
		}
	}
}

// The text of a release is what CHANGELOG.md says about its version, and no other one's.
func TestReleaseNotesAreThoseOfTheVersion(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash")
	}
	out, err := exec.CommandContext(t.Context(), "bash", root+"/tools/notes.sh", "v0.4.0").Output()
	text := string(out)
	if err != nil || !strings.Contains(text, "### Before you upgrade from 0.1, 0.2 or 0.3") || strings.Contains(text, "Unreleased") {
		t.Errorf("%v: %s", err, text)
	}
	if !strings.Contains(text, "(https://github.com/pico-auth/pico-auth/blob/v0.4.0/docs/moving-from-python.md)") || strings.Contains(text, "](docs/") {
		t.Error("links to files do not lead to those of the version")
	}
	if out, err := exec.CommandContext(t.Context(), "bash", root+"/tools/notes.sh", "v0.4").Output(); err == nil {
		t.Errorf("notes of a version that does not exist: %s", out)
	}
}

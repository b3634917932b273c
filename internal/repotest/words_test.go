package repotest

import (
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// topLevel is everything that may lie in the root of the repository.
var topLevel = []string{
	".ci", ".dockerignore", ".editorconfig", ".gitattributes", ".github", ".gitignore", ".golangci.yml",
	"CHANGELOG.md", "CONTRIBUTING.md", "Containerfile", "LICENSE", "Makefile", "README.md", "SECURITY.md",
	"bench", "cmd", "contrib", "docs", "go.mod", "go.sum", "internal", "picoauth", "tools",
}

func TestNothingStrayLiesAtTheTopLevel(t *testing.T) {
	if _, err := os.Stat(root + "/.git"); err != nil {
		t.Skip("not a checkout: an unpacked archive may have anything beside it")
	}
	out, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Skipf("git does not answer: %v", err)
	}
	for name := range strings.FieldsSeq(string(out)) {
		if first, _, _ := strings.Cut(name, "/"); !slices.Contains(topLevel, first) {
			t.Errorf("%s: nothing of that name belongs at the top level", first)
		}
	}
}

func TestPackagesAreNamedForWhatTheyHold(t *testing.T) {
	vague := []string{"util", "utils", "common", "helper", "helpers", "types", "model", "models", "service", "services", "base", "misc", "shared", "lib"}
	for _, s := range sources(t) {
		name := strings.TrimSuffix(s.file.Name.Name, "_test")
		if slices.Contains(vague, name) {
			t.Errorf("%s: a package named %s", s.path, name)
		}
		if name != "main" && name != path.Base(s.dir) {
			t.Errorf("%s: package %s in the folder %s", s.path, name, s.dir)
		}
	}
}

var (
	saysNot = regexp.MustCompile(`(?i)\b(not|no|never|nothing|none|cannot)\b`)
	saysWho = regexp.MustCompile(`(?i)\b(calls?|callers?|called|uses?|used|imports?|returns)\b`)
)

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	docs := map[string]string{}
	for _, s := range program(t) {
		if s.file.Doc != nil {
			if docs[s.dir] != "" {
				t.Errorf("%s: a second package comment in %s", s.path, s.dir)
			}
			docs[s.dir] = s.file.Doc.Text()
		} else if _, known := docs[s.dir]; !known {
			docs[s.dir] = ""
		}
	}
	for dir, doc := range docs {
		start := "Package " + path.Base(dir) + " "
		if strings.HasPrefix(dir, "cmd/") || path.Base(dir) == "gen" || dir == "bench" || dir == "internal/testrun" {
			start = "Command " + path.Base(dir) + " "
		}
		if !strings.HasPrefix(doc, start) {
			t.Errorf("%s: the package comment does not start with %q", dir, start)
		}
		if strings.Count(doc, "\n") < 3 {
			t.Errorf("%s: a package comment of less than three lines", dir)
		}
		if path.Dir(dir) == "internal" && (!saysNot.MatchString(doc) || !saysWho.MatchString(doc)) {
			t.Errorf("%s: the package comment must say what the package does not own and who calls it", dir)
		}
	}
}

var (
	unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	issue      = regexp.MustCompile(`#\d+|issues?[ /]\d+`)
	nolint     = regexp.MustCompile(`^//\s*nolint`)
	reasoned   = regexp.MustCompile(`^//nolint:[a-z,]+ // \S.{4,}`)
)

func TestLooseEndsNameAnIssueAndExceptionsAReason(t *testing.T) {
	for _, s := range sources(t) {
		if s.dir == "internal/repotest" {
			continue // it has to name what it looks for
		}
		for _, group := range s.file.Comments {
			for _, comment := range group.List {
				if unfinished.MatchString(comment.Text) && !issue.MatchString(comment.Text) {
					t.Errorf("%s: something left to do without the number of an issue", s.at(comment))
				}
				if nolint.MatchString(comment.Text) && !reasoned.MatchString(comment.Text) {
					t.Errorf("%s: write //nolint:LINTER // REASON", s.at(comment))
				}
			}
		}
	}
}

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

// topLevel is everything that may be in the root of the repository.
var topLevel = []string{
	".ci", ".dockerignore", ".editorconfig", ".gitattributes", ".github", ".gitignore", ".golangci.yml",
	"CHANGELOG.md", "CONTRIBUTING.md", "Containerfile", "LICENSE", "Makefile", "README.md", "SECURITY.md",
	"bench", "clients", "cmd", "compose.yaml", "contrib", "docs", "examples", "go.mod", "go.sum", "internal", "picoauth", "tools",
}

// checkout returns the files of the repository that git ls-files lists. Without git or a
// checkout the test is skipped, and fails in CI, where every rule must have been checked.
func checkout(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", root, "ls-files", "--cached"}, args...)...).Output()
	if err != nil && os.Getenv("CI") != "" {
		t.Fatalf("git ls-files: %v", err)
	}
	if err != nil {
		t.Skipf("SKIPPED: git ls-files: %v", err)
	}
	return strings.Fields(string(out))
}

func TestTopLevelHasOnlyTheListedFiles(t *testing.T) {
	for _, name := range checkout(t, "--others", "--exclude-standard") {
		if first, _, _ := strings.Cut(name, "/"); !slices.Contains(topLevel, first) {
			t.Errorf("%s is not in the list of the top level", first)
		}
	}
}

func TestPackageNamesAreNotVague(t *testing.T) {
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

func TestEveryPackageHasAPackageComment(t *testing.T) {
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
		if strings.HasPrefix(dir, "cmd/") || path.Base(dir) == "gen" || dir == "bench" || dir == "internal/testrun" || dir == "internal/roots" || dir == "internal/release" {
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

func TestOpenWorkNamesAnIssueAndExceptionsAReason(t *testing.T) {
	for _, s := range sources(t) {
		if s.dir == "internal/repotest" {
			continue // it names the marks
		}
		for _, group := range s.file.Comments {
			for _, comment := range group.List {
				if unfinished.MatchString(comment.Text) && !issue.MatchString(comment.Text) {
					t.Errorf("%s: open work without the number of an issue", s.at(comment))
				}
				if nolint.MatchString(comment.Text) && !reasoned.MatchString(comment.Text) {
					t.Errorf("%s: write //nolint:LINTER // REASON", s.at(comment))
				}
			}
		}
	}
}

// refused are phrases that the texts of this repository do not use, each with the
// standard term to use instead.
var refused = []struct{ phrase, say string }{
	{`(?i:\b(?:persons?|people)\b)|(?:Person|People)(?:[A-Z_]|\b)`, "user"},
	{`\b(?:[Ss]ome|[Nn]o|[Aa]ny|[Ee]very)body(?:[^@"\w]|$)|(?:Some|No|Any|Every)body[A-Z_]`, "user, client, caller, operator, attacker; no one, everyone"},
	{`(?i:\bwhoever\b)|Whoever[A-Z]`, "the client that, the request that"},
	{`(?i:\bstrangers?\b)|Strangers?(?:[A-Z_]|\b)`, "attacker, another client, another service"},
	{`(?i)organis`, "organization"},
	{`(?i)\bspen(?:t|ds?|ding)\b`, "used, use, rotate"},
	{`(?i)\banew\b`, "again, new"},
	{`(?i)\blately\b`, "recently"},
	{`(?i)\bmeanwhile\b`, "concurrently, by another request, until then"},
	{`(?i)\bof before\b`, "previous"},
	{`(?i)\b(?:to be|be|is) had\b`, "unavailable"},
	{`(?i)\b(?:get|gets|got) at\b`, "unavailable; read, load"},
	{`(?i)\b(?:is|are|was|were|be|been) given up\b`, "cancelled"},
	{`(?i)\b(?:is|are|was|were|be|been|has|have|had) gone\b`, "ended, expired, removed, unavailable"},
	{`(?i)\b(?:comes?|came|coming) back\b`, "reuse, presented again, available again"},
	{`(?i)\bhand(?:s|ed|ing)? out\b`, "issue, return"},
	{`(?i)\blook(?:s|ed|ing)? after\b|\bin good order\b`, "manage; valid"},
	{`(?i)\bput forward\b`, "pending"},
	{`(?i)\bnowhere\b`, "unknown, not found"},
	{`(?i)\blife\b`, "lifetime"},
	{`(?i)\bkeys? of the configuration\b`, "setting"},
	{`(?i)\bunless said otherwise\b`, "default, optional"},
	{`(?i)\bsign-in in progress\b`, "authorization request"},
	{`(?i)\bdoers?\b`, "actor"},
	{`(?i)\b(?:rooms?|the house)\b`, "package, architecture"},
	{`(?i)\b(?:on no|a|another) floor\b`, "layer"},
}

// textFile matches the files that hold texts for users, operators and readers.
var textFile = regexp.MustCompile(`\.(?:go|md|txtar|sh|ya?ml|html|conf|service)$|(?:^|/)(?:Makefile|Containerfile|run)$`)

// foreignTexts are files that others wrote or that must name a refused phrase.
var foreignTexts = []string{
	"internal/repotest/words_test.go", // names the phrases
	"internal/httpapi/swagger", "internal/hosted/assets/pico.LICENSE.md", "internal/jose/testdata", "internal/password/common",
}

// generatedTable is the part of docs/performance.md that make bench-report writes.
var generatedTable = regexp.MustCompile(`(?s)<!-- bench: begin.*bench: end -->`)

func TestTextsUseStandardTerms(t *testing.T) {
	phrases := make([]*regexp.Regexp, len(refused))
	for i, r := range refused {
		phrases[i] = regexp.MustCompile(r.phrase)
	}
	for _, name := range checkout(t) {
		if !textFile.MatchString(name) || inside(name, foreignTexts) {
			continue
		}
		content, err := os.ReadFile(root + "/" + name)
		if os.IsNotExist(err) {
			continue // removed and not committed
		}
		if err != nil {
			t.Fatal(err)
		}
		text := generatedTable.ReplaceAllStringFunc(string(content), func(table string) string {
			return strings.Repeat("\n", strings.Count(table, "\n"))
		})
		number := 0
		for line := range strings.Lines(text) {
			number++
			for i, phrase := range phrases {
				if found := phrase.FindString(line); found != "" {
					t.Errorf("%s:%d: %q: write %s", name, number, found, refused[i].say)
				}
			}
		}
	}
}

package doctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var codeSpan = regexp.MustCompile("`([^`]+)`")

// spans are the code spans in the prose of all documents, each with one that has it.
func spans(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, d := range documents(t) {
		if d.name == "CHANGELOG.md" {
			continue // of earlier versions too
		}
		for _, found := range codeSpan.FindAllStringSubmatch(d.prose(), -1) {
			all[strings.ReplaceAll(found[1], "\n", " ")] = d.name
		}
	}
	return all
}

// matched calls test with what the pattern finds in the spans, and expects some.
func matched(t *testing.T, pattern string, test func(document string, found []string)) {
	t.Helper()
	count, compiled := 0, regexp.MustCompile(pattern)
	for span, name := range spans(t) {
		if found := compiled.FindStringSubmatch(span); found != nil {
			count++
			test(name, found)
		}
	}
	if count < 5 {
		t.Errorf("only %d names found", count)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// refusedAsDescribed are settings of which a document says that they are refused, or what
// they need beside.
var refusedAsDescribed = map[string]bool{
	"auth_client.enabled: false":    true,
	"auth.registration_org: guests": true, // an organization that the same sentence creates
}

func TestSettingsInTheDocumentsExist(t *testing.T) {
	program := programPath(t)
	settings := map[string]bool{}
	for _, found := range regexp.MustCompile("(?m)^(?:### |\\| )`([a-z_]+\\.[a-z_*]+)`").FindAllStringSubmatch(read(t, "docs/configuration.md"), -1) {
		settings[found[1]] = true
	}
	var sections []string
	for name := range settings {
		section, _, _ := strings.Cut(name, ".")
		sections = append(sections, section)
	}
	slices.Sort(sections)
	others := read(t, "internal/identity/action.go") // actions of audit events have such names too
	pattern := `^((?:` + strings.Join(slices.Compact(sections), "|") + `)\.[a-z_*]+)(?:: (.+))?$`
	matched(t, pattern, func(document string, found []string) {
		name, value := found[1], found[2]
		switch {
		case strings.Contains(others, `"`+name+`"`), name == "auth.db", strings.HasSuffix(name, "*"):
		case !settings[name]:
			t.Errorf("%s: %s is no setting", document, name)
		case value != "":
			section, setting, _ := strings.Cut(name, ".")
			dir := t.TempDir()
			value = strings.Replace(value, "/run/pico-auth/", dir+"/", 1)
			write(t, filepath.Join(dir, "application.yaml"), section+":\n  "+setting+": "+value+"\n")
			check := exec.CommandContext(t.Context(), program, "config", "check")
			check.Dir, check.Env = dir, []string{
				"HOME=" + dir, "AUTH_ADMIN_PASSWORD=correct horse battery staple", "AUTH_MASTER_KEY=" + strings.Repeat("k", 43) + "=",
			}
			if output, err := check.CombinedOutput(); err != nil && !refusedAsDescribed[found[0]] {
				t.Errorf("%s: %s: %v\n%s", document, found[0], err, output)
			}
		}
	})
}

func TestVariablesInTheDocumentsExist(t *testing.T) {
	reference := read(t, "docs/configuration.md")
	matched(t, `^((?:AUDIT|AUTH|DATABASE|GROUPS|KEYS|LOG|OUTBOUND|PAGES|SERVER|THROTTLE)_[A-Z_]+[A-Z])(?:=.*)?$`, func(document string, found []string) {
		if !strings.Contains(reference, "`"+found[1]+"`") {
			t.Errorf("%s: %s is the variable of no setting", document, found[1])
		}
	})
}

func TestEveryEndpointIsInTheDocumentOfTheAPI(t *testing.T) {
	page := read(t, "docs/api.md")
	endpoints := regexp.MustCompile(`(?m)^[A-Z]+ /api/\S+`).FindAllString(read(t, "docs/authorization.md"), -1)
	if len(endpoints) < 50 {
		t.Fatalf("only %d endpoints found", len(endpoints))
	}
	for _, endpoint := range endpoints {
		if !strings.Contains(page, "`"+endpoint+"`") {
			t.Errorf("docs/api.md does not describe %s", endpoint)
		}
	}
}

func TestEndpointsInTheDocumentsExist(t *testing.T) {
	// The table of docs/authorization.md is made from the routes of the API, the list in
	// the tests of the server from all.
	table := read(t, "docs/authorization.md")
	matched(t, `^((?:GET|POST|PUT|PATCH|DELETE) /api/[^? ]+)`, func(document string, found []string) {
		if !strings.Contains(table, "\n"+found[1]+" ") {
			t.Errorf("%s: %s is no endpoint", document, found[1])
		}
	})
}

func TestMetricsInTheDocumentsExist(t *testing.T) {
	sources, err := filepath.Glob(filepath.Join(repository(t), "internal/server/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range sources {
		if !strings.HasSuffix(name, "_test.go") {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
	}
	matched(t, `\bpico_auth_([a-z_]+)`, func(document string, found []string) {
		if !strings.Contains(all.String(), `"`+found[1]+`"`) && !strings.Contains(all.String(), `"`+found[0]+`"`) {
			t.Errorf("%s: there is no metric %s", document, found[0])
		}
	})
}

func TestTargetsOfMakeInTheDocumentsExist(t *testing.T) {
	require(t, "make")
	matched(t, `^make ([a-z][a-zA-Z0-9 =./-]*)$`, func(document string, found []string) {
		command := exec.CommandContext(t.Context(), "make", append([]string{"-n", "-C", repository(t)}, strings.Fields(found[1])...)...)
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %s: %v\n%s", document, found[0], err, output)
		}
	})
}

func TestFilesInTheDocumentsExist(t *testing.T) {
	folders := []string{"bench", "clients", "cmd", "contrib", "docs", "examples", "internal", "picoauth", "tools"}
	matched(t, `^(?:`+strings.Join(folders, "|")+`)/[\w./-]+$`, func(document string, found []string) {
		if _, err := os.Stat(filepath.Join(repository(t), found[0])); err != nil && document != "docs/comparison.md" { // names files of others
			t.Errorf("%s: there is no %s", document, found[0])
		}
	})
}

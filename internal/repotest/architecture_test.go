package repotest

import (
	"flag"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the drawing of the layers into docs/architecture.md")

const (
	architecture = root + "/docs/architecture.md"
	layersBegin  = "<!-- layers: begin, written by go test ./internal/repotest -update -->\n"
	layersEnd    = "<!-- layers: end -->"
)

// forTests are the packages that no program contains.
var forTests = []string{
	"bench", "internal/torture", "internal/testrun", "internal/doctest", "internal/testrig", "internal/store/storetest", "internal/postgrestest",
	"internal/programtest", "internal/browsertest", "internal/bcrypt/gen",
}

func TestDrawingOfTheLayersIsThatOfTheImportRules(t *testing.T) {
	text := readArchitecture(t)
	before, rest, found := strings.Cut(text, layersBegin)
	_, after, ended := strings.Cut(rest, layersEnd)
	if !found || !ended {
		t.Fatal("docs/architecture.md has no place for the layers")
	}
	want := before + layersBegin + drawLayers() + layersEnd + after
	if text == want {
		return
	}
	if !*update {
		t.Fatal("docs/architecture.md draws other layers than imports_test.go allows: run go test ./internal/repotest -update")
	}
	if err := os.WriteFile(architecture, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// drawLayers draws one box for each layer of the program, from top to bottom.
func drawLayers() string {
	const width = 100
	line := "+" + strings.Repeat("-", width) + "+\n"
	var b strings.Builder
	b.WriteString("```\n" + line)
	for _, layer := range layers {
		packages := slices.DeleteFunc(slices.Clone(layer), func(p string) bool { return inside(p, forTests) })
		if len(packages) == 0 {
			continue
		}
		for i, p := range packages {
			packages[i] = strings.TrimPrefix(p, "internal/")
		}
		fmt.Fprintf(&b, "| %-*s |\n%s", width-2, strings.Join(packages, "   "), line)
	}
	return b.String() + "```\n"
}

var (
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	goName   = regexp.MustCompile(`^([a-z]+)\.([A-Z]\w*)$`)
	folder   = regexp.MustCompile(`^(?:internal|cmd|picoauth)(?:/[\w./-]+)?$`)
)

func TestNamesInTheArchitectureExist(t *testing.T) {
	names := map[string]bool{}
	for _, s := range program(t) {
		for _, decl := range s.file.Decls {
			for _, name := range declared(decl) {
				names[path.Base(s.dir)+"."+name] = true
			}
		}
	}
	checked := 0
	for _, span := range codeSpan.FindAllStringSubmatch(readArchitecture(t), -1) {
		switch {
		case goName.MatchString(span[1]):
			checked++
			if !names[span[1]] {
				t.Errorf("docs/architecture.md names %s, which does not exist", span[1])
			}
		case folder.MatchString(span[1]):
			checked++
			if _, err := os.Stat(root + "/" + span[1]); err != nil {
				t.Errorf("docs/architecture.md names %s, which does not exist", span[1])
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d names found in docs/architecture.md", checked)
	}
}

func declared(decl ast.Decl) (names []string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return []string{d.Name.Name}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

func TestDrawingOfTheKeyLifecycleHasEveryStatus(t *testing.T) {
	_, section, found := strings.Cut(readArchitecture(t), "## The lifecycle of a signing key\n")
	_, drawing, drawn := strings.Cut(section, "```\n")
	drawing, _, _ = strings.Cut(drawing, "```\n")
	if !found || !drawn {
		t.Fatal("docs/architecture.md does not draw the lifecycle of a signing key")
	}
	statuses := 0
	for _, s := range program(t) {
		if s.dir != "internal/store" {
			continue
		}
		for _, decl := range s.file.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.CONST {
				continue
			}
			for _, spec := range d.Specs {
				v := spec.(*ast.ValueSpec)
				if kind, ok := v.Type.(*ast.Ident); !ok || kind.Name != "KeyStatus" {
					continue
				}
				statuses++
				if word := strings.ToLower(strings.TrimPrefix(v.Names[0].Name, "Key")); !strings.Contains(drawing, word) {
					t.Errorf("the lifecycle of a signing key in docs/architecture.md lacks the status %q", word)
				}
			}
		}
	}
	if statuses < 4 {
		t.Errorf("only %d statuses found in internal/store", statuses)
	}
}

func readArchitecture(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(architecture)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

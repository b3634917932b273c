package repotest

import (
	"go/ast"
	"os"
	"regexp"
	"testing"
)

var testName = regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")

// A promise whose test was renamed or removed is a promise that nothing holds.
func TestThePromisesInTheSecurityDocumentHaveTheirTests(t *testing.T) {
	tests := map[string]bool{}
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && s.test {
				tests[f.Name.Name] = true
			}
		}
	}
	document, err := os.ReadFile(root + "/docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	named := testName.FindAllStringSubmatch(string(document), -1)
	for _, name := range named {
		if !tests[name[1]] {
			t.Errorf("docs/security.md names %s, which does not exist", name[1])
		}
	}
	if len(named) < 100 {
		t.Errorf("only %d tests named in docs/security.md", len(named))
	}
}

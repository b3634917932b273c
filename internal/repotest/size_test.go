package repotest

import (
	"go/ast"
	"testing"
)

const (
	maxFunction  = 80  // lines, braces included
	maxFile      = 500 // lines of a hand-written file
	maxTestFile  = 800
	maxInterface = 4 // methods
)

func TestFunctionsFitOnAScreen(t *testing.T) {
	for _, s := range program(t) {
		if s.generated() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n.(type) {
			case *ast.FuncDecl, *ast.FuncLit:
				lines := s.fset.Position(n.End()).Line - s.fset.Position(n.Pos()).Line + 1
				if lines > maxFunction {
					t.Errorf("%s: a function of %d lines; at most %d", s.at(n), lines, maxFunction)
				}
			}
			return true
		})
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, s := range sources(t) {
		limit := maxFile
		if s.test {
			limit = maxTestFile
		}
		if s.lines > limit && !s.generated() {
			t.Errorf("%s has %d lines; at most %d", s.path, s.lines, limit)
		}
	}
}

func TestInterfacesAreSmall(t *testing.T) {
	for _, s := range program(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if face, ok := n.(*ast.InterfaceType); ok && face.Methods.NumFields() > maxInterface {
				t.Errorf("%s: an interface of %d methods; at most %d", s.at(n), face.Methods.NumFields(), maxInterface)
			}
			return true
		})
	}
}

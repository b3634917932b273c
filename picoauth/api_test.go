package picoauth_test

import (
	"bytes"
	"flag"
	"go/ast"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the exported surface to testdata/api.txt")

// TestTheExportedSurfaceDoesNotBreak compares every exported declaration with
// testdata/api.txt. A line that is removed or changed there breaks services that
// import these packages; a new one does not.
func TestTheExportedSurfaceDoesNotBreak(t *testing.T) {
	for _, dir := range []string{".", "picoauthtest"} {
		golden := filepath.Join(dir, "testdata", "api.txt")
		got := surface(t, dir)
		if *update {
			if err := os.WriteFile(golden, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		text, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Split(strings.TrimSpace(string(text)), "\n")
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("BREAKS users: removed or changed: %s", line)
			}
		}
		for _, line := range got {
			if !slices.Contains(want, line) {
				t.Errorf("newly exported: %s", line)
			}
		}
	}
	if t.Failed() {
		t.Log("if that is intended, go test ./picoauth -run ExportedSurface -update")
	}
}

// surface returns one line for each exported function, method, constant,
// variable, type and struct field.
func surface(t *testing.T, dir string) []string {
	t.Helper()
	var lines []string
	for _, file := range parsePackage(t, dir) {
		ast.FileExports(file)
		for _, decl := range file.Decls {
			lines = append(lines, declared(t, decl)...)
		}
	}
	slices.Sort(lines)
	if len(lines) == 0 {
		t.Fatalf("%s exports nothing", dir)
	}
	return lines
}

func declared(t *testing.T, decl ast.Decl) []string {
	t.Helper()
	switch d := decl.(type) {
	case *ast.FuncDecl:
		d.Body, d.Doc = nil, nil
		return []string{printed(t, d)}
	case *ast.GenDecl:
		var lines []string
		for at, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				lines = append(lines, declaredType(t, s)...)
			case *ast.ValueSpec:
				lines = append(lines, declaredValues(t, d.Tok, s, at)...)
			}
		}
		return lines
	}
	return nil
}

// declaredType is a line for the type, and one for each field of a struct.
func declaredType(t *testing.T, s *ast.TypeSpec) []string {
	t.Helper()
	structure, ok := s.Type.(*ast.StructType)
	if !ok {
		return []string{"type " + s.Name.Name + " " + printed(t, s.Type)}
	}
	lines := []string{"type " + s.Name.Name + " struct"}
	for _, field := range structure.Fields.List {
		for _, name := range field.Names {
			lines = append(lines, "field "+s.Name.Name+"."+name.Name+" "+printed(t, field.Type))
		}
		if len(field.Names) == 0 {
			lines = append(lines, "field "+s.Name.Name+" embeds "+printed(t, field.Type))
		}
	}
	return lines
}

// declaredValues is a line for each name, with its place in the group: a constant
// made with iota has no value of its own.
func declaredValues(t *testing.T, kind token.Token, s *ast.ValueSpec, at int) []string {
	t.Helper()
	var lines []string
	for i, name := range s.Names {
		line := kind.String() + " " + name.Name
		if s.Type != nil {
			line += " " + printed(t, s.Type)
		}
		switch {
		case kind == token.CONST && i < len(s.Values):
			line += " = " + printed(t, s.Values[i])
		case kind == token.CONST:
			line += " = as the one before, iota " + string(rune('0'+at))
		}
		lines = append(lines, line)
	}
	return lines
}

func printed(t *testing.T, node any) string {
	t.Helper()
	var text bytes.Buffer
	if err := printer.Fprint(&text, token.NewFileSet(), node); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(text.String()), " ")
}

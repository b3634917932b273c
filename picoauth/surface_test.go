package picoauth_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoExportedSignatureShowsAnInternalType keeps the public packages usable:
// other modules cannot name a type of internal/....
func TestNoExportedSignatureShowsAnInternalType(t *testing.T) {
	for _, dir := range []string{".", "picoauthtest"} {
		files := parsePackage(t, dir)
		if len(files) == 0 {
			t.Fatalf("%s: nothing parsed", dir)
		}
		for _, file := range files {
			for _, decl := range file.Decls {
				for _, node := range exportedParts(decl) {
					checkNoInternal(t, file, node)
				}
			}
		}
	}
}

func parsePackage(t *testing.T, dir string) []*ast.File {
	t.Helper()
	var files []*ast.File
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && path != dir {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		files = append(files, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// exportedParts returns the parts of a declaration that other packages see.
func exportedParts(decl ast.Decl) []ast.Node {
	var parts []ast.Node
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() {
			parts = append(parts, d.Type)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					parts = append(parts, exportedType(s.Type)...)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() {
						parts = append(parts, s)
					}
				}
			}
		}
	}
	return parts
}

func exportedType(expr ast.Expr) []ast.Node {
	structure, ok := expr.(*ast.StructType)
	if !ok {
		return []ast.Node{expr}
	}
	var parts []ast.Node
	for _, field := range structure.Fields.List {
		if len(field.Names) == 0 || field.Names[0].IsExported() {
			parts = append(parts, field.Type)
		}
	}
	return parts
}

func checkNoInternal(t *testing.T, file *ast.File, node ast.Node) {
	t.Helper()
	internal := map[string]bool{}
	for _, imported := range file.Imports {
		path := strings.Trim(imported.Path.Value, `"`)
		if !strings.Contains(path, "/internal/") {
			continue
		}
		if imported.Name != nil {
			t.Errorf("%s is imported under another name", path)
		}
		internal[path[strings.LastIndex(path, "/")+1:]] = true
	}
	ast.Inspect(node, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := selector.X.(*ast.Ident); ok && internal[pkg.Name] {
			t.Errorf("%s.%s is visible from outside", pkg.Name, selector.Sel.Name)
		}
		return true
	})
}

package repotest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	module = "github.com/pico-auth/pico-auth"
	root   = "../.."
)

// source is one Go file of the repository.
type source struct {
	path  string // from the root, with slashes
	dir   string // its package's folder, from the root
	test  bool   // a _test.go file
	lines int
	fset  *token.FileSet
	file  *ast.File
}

// at says where a node is.
func (s source) at(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// imports returns what the file imports.
func (s source) imports() []string {
	paths := make([]string, 0, len(s.file.Imports))
	for _, spec := range s.file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// generated reports the mark that generators leave, https://go.dev/s/generatedcode.
func (s source) generated() bool { return ast.IsGenerated(s.file) }

// tree parses the repository once for all tests.
var tree = sync.OnceValues(func() ([]source, error) {
	var sources []source
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipFolder(name, entry.Name())
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		s, err := parse(name)
		sources = append(sources, s)
		return err
	})
	return sources, err
})

// skipFolder skips hidden folders and test data, which Go ignores, and other modules:
// the examples may import packages that this module must not.
func skipFolder(folder, name string) error {
	if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil && folder != root {
		return fs.SkipDir
	}
	if name == "testdata" || name == "dist" || (strings.HasPrefix(name, ".") && name != "..") {
		return fs.SkipDir
	}
	return nil
}

func parse(name string) (source, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return source{}, err
	}
	relative, err := filepath.Rel(root, name)
	if err != nil {
		return source{}, err
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		return source{}, err
	}
	slashed := filepath.ToSlash(relative)
	return source{
		path: slashed, dir: path.Dir(slashed), test: strings.HasSuffix(name, "_test.go"),
		lines: strings.Count(string(text), "\n"), fset: fset, file: file,
	}, nil
}

// sources returns every Go file of the repository.
func sources(t *testing.T) []source {
	t.Helper()
	all, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d Go files found below %s", len(all), root)
	}
	return all
}

// program returns the Go files without the tests.
func program(t *testing.T) []source {
	t.Helper()
	var files []source
	for _, s := range sources(t) {
		if !s.test {
			files = append(files, s)
		}
	}
	return files
}

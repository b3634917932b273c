package doctest

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// languages are what a block may be written in. Text without one is output or a drawing.
var languages = []string{"", "sh", "console", "go", "yaml", "json", "js", "python", "ini"}

// looksTyped is text that a reader would type.
var looksTyped = regexp.MustCompile(`(?m)^\s*(?:\$ |(?:sudo |[A-Z_]+=\S+ )*(?:pico-auth|bin/pico-auth|make|curl|docker|go|npm|systemctl|kubectl|apt-get|git) [a-z./-])`)

// indented is a block of code without a fence.
var indented = regexp.MustCompile(`(?m)\n\n    .*`)

func TestEveryBlockOfShellIsMarkedAsSuch(t *testing.T) {
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if !slices.Contains(languages, b.language) {
				t.Errorf("%s:%d: a block of %q: add it here and say how it is tested", d.name, b.line, b.language)
			}
			if found := looksTyped.FindString(b.text()); b.language == "" && found != "" {
				t.Errorf("%s:%d: %q looks like shell: mark the block as sh or console", d.name, b.line, found)
			}
		}
		for _, found := range indented.FindAllString(d.prose(), -1) {
			if looksTyped.MatchString(found) {
				t.Errorf("%s: %q looks like shell: put it into a block of sh or console", d.name, strings.TrimSpace(found))
			}
		}
	}
}

// eachBlock runs test for the blocks of a language.
func eachBlock(t *testing.T, language string, test func(t *testing.T, d document, b block)) {
	t.Helper()
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.language == language {
				t.Run(fmt.Sprintf("%s:%d", d.name, b.line), func(t *testing.T) { test(t, d, b) })
			}
		}
	}
}

func TestJSONOfTheDocumentsParses(t *testing.T) {
	eachBlock(t, "json", func(t *testing.T, _ document, b block) {
		values := json.NewDecoder(strings.NewReader(b.text()))
		for {
			var value any
			if err := values.Decode(&value); err == io.EOF {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The blocks of YAML are parts of application.yaml.
func TestYAMLOfTheDocumentsIsAConfiguration(t *testing.T) {
	program := programPath(t)
	eachBlock(t, "yaml", func(t *testing.T, _ document, b block) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "wiki"), strings.Repeat("x", 40))
		write(t, filepath.Join(dir, "application.yaml"), strings.ReplaceAll(b.text(), "file:/run/secrets/", "file:"+dir+"/"))
		check := exec.CommandContext(t.Context(), program, "config", "check")
		check.Dir, check.Env = dir, []string{"HOME=" + dir, "FIRST_PASSWORD=correct horse battery staple"}
		if output, err := check.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, output)
		}
	})
}

func TestJavaScriptAndPythonOfTheDocumentsParse(t *testing.T) {
	for language, command := range map[string][]string{
		"js":     {"node", "--check"},
		"python": {"python3", "-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())"},
	} {
		require(t, command[0])
		eachBlock(t, language, func(t *testing.T, _ document, b block) {
			name := filepath.Join(t.TempDir(), "block.mjs")
			write(t, name, b.text())
			if output, err := exec.CommandContext(t.Context(), command[0], append(command[1:], name)...).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}

// goImports are what the blocks of Go may use.
var goImports = []string{
	"context", "errors", "fmt", "log", "net/http", "os", "testing", "time",
	"github.com/pico-auth/pico-auth/picoauth", "github.com/pico-auth/pico-auth/picoauth/picoauthtest",
}

// The blocks are parts of a program: names that they do not declare are the reader's, and
// a value may be used in what they leave out.
func TestGoOfTheDocumentsCompiles(t *testing.T) {
	imports := compiled(t, goImports)
	checked := 0
	eachBlock(t, "go", func(t *testing.T, _ document, b block) {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "block.go", goFile(b), parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		config := types.Config{Importer: imports, Error: func(err error) {
			var fault types.Error
			if f, ok := err.(types.Error); ok { //nolint:errorlint // go/types gives it like this
				fault = f
			}
			for _, expected := range []string{"undefined: ", "declared and not used", "imported and not used"} {
				if strings.Contains(fault.Msg, expected) && !strings.Contains(fault.Msg, "undefined: picoauth") {
					return
				}
			}
			t.Errorf("line %d: %s", fset.Position(fault.Pos).Line, fault.Msg)
		}}
		_, _ = config.Check("block", fset, []*ast.File{file}, nil) // reported above
		checked++
	})
	if checked < 4 {
		t.Errorf("only %d blocks of Go", checked)
	}
}

// compiled imports packages as go build has compiled them.
func compiled(t *testing.T, packages []string) types.Importer {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}, packages...)...)
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[name] = file
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
}

var elided = regexp.MustCompile(`(?m)^\s*\.\.\.$|\.\.\., `)

// goFile makes a file of a block: statements are the body of a function, declarations
// stay as they are.
func goFile(b block) string {
	var body, declarations strings.Builder
	declared := false
	for line := range strings.Lines(elided.ReplaceAllString(b.text(), "")) {
		if strings.HasPrefix(line, "func ") {
			declared = true
		}
		if declared {
			declarations.WriteString(line)
			if line == "}\n" {
				declared = false
			}
		} else {
			body.WriteString(line)
		}
	}
	if text := strings.TrimSpace(body.String()); strings.HasPrefix(text, "picoauth.Config{") {
		body.Reset()
		body.WriteString("_ = " + text + "\n") // an expression
	}
	return fmt.Sprintf("package block\nimport (\n\"%s\"\n)\nfunc _(t *testing.T) {\n{\n%s}\n}\n%s",
		strings.Join(goImports, "\"\n\""), body.String(), declarations.String())
}

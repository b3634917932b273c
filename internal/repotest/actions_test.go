package repotest

import (
	"go/ast"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// actionsFile is the only list of the actions of audit events.
const actionsFile = "internal/identity/action.go"

// actions are the constants of the list by value.
func actions(t *testing.T) map[string]string {
	t.Helper()
	named := map[string]string{}
	for _, s := range program(t) {
		if s.path != actionsFile {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			kind, typed := v.Type.(*ast.Ident)
			value := text(v.Values[0])
			if !typed || kind.Name != "Action" || value == "" {
				t.Errorf("%s: %s is not a literal of the type Action", s.at(v), v.Names[0].Name)
			}
			if named[value] != "" {
				t.Errorf("%s: %s and %s are %q", s.at(v), v.Names[0].Name, named[value], value)
			}
			named[value] = v.Names[0].Name
			return true
		})
	}
	if len(named) < 20 {
		t.Fatalf("only %d actions in %s", len(named), actionsFile)
	}
	return named
}

// text is the value of a string literal, else empty.
func text(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	value, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return value
}

func TestEveryActionIsInTheList(t *testing.T) {
	named := actions(t)
	for _, s := range program(t) {
		if s.path == actionsFile || !knowsActions(s) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr: // Action: "user.create"
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Action" && text(n.Value) != "" {
					t.Errorf("%s: the action %q is written out; use or add a constant of %s", s.at(n), text(n.Value), actionsFile)
				}
			case *ast.CallExpr: // identity.Action("user.create")
				if called(n) == "Action" && len(n.Args) == 1 && text(n.Args[0]) != "" {
					t.Errorf("%s: the action %q is a literal; add a constant to %s", s.at(n), text(n.Args[0]), actionsFile)
				}
			case *ast.BasicLit:
				if value := text(n); strings.Contains(value, ".") && named[value] != "" {
					t.Errorf("%s: %q is identity.%s", s.at(n), value, named[value])
				}
			}
			return true
		})
	}
}

// knowsActions reports whether a file can create an act or an event.
func knowsActions(s source) bool {
	return slices.ContainsFunc(s.imports(), func(path string) bool {
		return path == module+"/internal/identity" || path == module+"/internal/store"
	}) || s.dir == "internal/store"
}

func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	default:
		return ""
	}
}

func TestEveryActionIsUsedAndDocumented(t *testing.T) {
	page, err := os.ReadFile(root + "/docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, s := range program(t) {
		if s.path == actionsFile {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if name, ok := n.(*ast.Ident); ok {
				used[name.Name] = true
			}
			return true
		})
	}
	for value, name := range actions(t) {
		if !strings.Contains(string(page), "`"+value+"`") {
			t.Errorf("docs/audit.md does not describe `%s`", value)
		}
		if !used[name] {
			t.Errorf("the action %s is not used", name)
		}
	}
}

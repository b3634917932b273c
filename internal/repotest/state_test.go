package repotest

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// excepted are the package variables that must hold state, and why.
var excepted = map[string]string{
	"cmd/pico-auth version":           "the linker stamps it",
	"internal/store/storetest shared": "TestMain and the tests of a process share one PostgreSQL server in no other way",
}

func TestNothingRunsAtImport(t *testing.T) {
	for _, s := range program(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: an init function", s.at(f))
			}
		}
	}
}

// TestNoPackageHoldsState refuses package variables that are state: variables
// without a value (except embedded files), locks, atomics, channels, and variables
// that the package assigns to. Tables, errors, compiled patterns and values that are
// computed once, at the first use, are allowed.
func TestNoPackageHoldsState(t *testing.T) {
	variables := map[string]map[string]bool{} // folder -> name
	for _, s := range program(t) {
		if variables[s.dir] == nil {
			variables[s.dir] = map[string]bool{}
		}
		for _, spec := range packageVariables(s) {
			for _, name := range spec.Names {
				variables[s.dir][name.Name] = name.Name != "_"
			}
			exception := excepted[s.dir+" "+spec.Names[0].Name]
			if why := stateful(spec); why != "" && exception == "" {
				t.Errorf("%s: package variable %s %s", s.at(spec), spec.Names[0].Name, why)
			}
		}
	}
	for _, s := range program(t) {
		for _, name := range assigned(s) {
			if variables[s.dir][name.Name] {
				t.Errorf("%s: assigns to the package variable %s", s.at(name), name.Name)
			}
		}
	}
}

// packageVariables returns the declarations without embedded files.
func packageVariables(s source) []*ast.ValueSpec {
	var specs []*ast.ValueSpec
	for _, decl := range s.file.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.VAR {
			continue
		}
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok && !embeds(d.Doc) && !embeds(v.Doc) {
				specs = append(specs, v)
			}
		}
	}
	return specs
}

func embeds(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, comment := range doc.List {
		if strings.HasPrefix(comment.Text, "//go:embed ") {
			return true
		}
	}
	return false
}

// stateful returns the reason why a variable is state, or an empty string.
func stateful(spec *ast.ValueSpec) string {
	if len(spec.Values) == 0 {
		return "has no value: something must give it one later"
	}
	why := ""
	for _, value := range spec.Values {
		ast.Inspect(value, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				return false // values that a function creates are local
			case *ast.ChanType:
				why = "is a channel"
			case *ast.SelectorExpr:
				pkg, ok := n.X.(*ast.Ident)
				if ok && (pkg.Name == "sync" || pkg.Name == "atomic") && !strings.HasPrefix(n.Sel.Name, "Once") {
					why = "holds " + pkg.Name + "." + n.Sel.Name
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "make" || f.Name == "new") {
					why = "is made empty, to be filled later"
				}
			}
			return true
		})
	}
	return why
}

// assigned returns the names that a file assigns to, directly or by an element, and
// that are not local.
func assigned(s source) []*ast.Ident {
	var names []*ast.Ident
	add := func(expr ast.Expr) {
		if name := base(expr); name != nil && !local(s, name) {
			names = append(names, name)
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, left := range n.Lhs {
					add(left)
				}
			}
		case *ast.IncDecStmt:
			add(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				if _, literal := n.X.(*ast.CompositeLit); !literal {
					addressTaken(n.X, add)
				}
			}
		}
		return true
	})
	return names
}

// addressTaken counts &variable as an assignment, but not &table[i], which is
// how rows are read without copying them.
func addressTaken(expr ast.Expr, add func(ast.Expr)) {
	if name, ok := expr.(*ast.Ident); ok {
		add(name)
	}
}

// base is the variable at the root of a.b[c].d.
func base(expr ast.Expr) *ast.Ident {
	for {
		switch e := expr.(type) {
		case *ast.Ident:
			return e
		case *ast.SelectorExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.StarExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		default:
			return nil
		}
	}
}

// local reports whether a name was declared inside a function of its file. The
// parser resolves names within a file; a package variable of another file stays
// unresolved.
func local(s source, name *ast.Ident) bool {
	if name.Obj == nil {
		return false
	}
	return s.file.Scope.Lookup(name.Name) != name.Obj
}

package repotest

import (
	"go/ast"
	"testing"
)

// TestOnlyLoginProvesUsers: a Proof is as good as a password, so nothing else
// makes one.
func TestOnlyLoginProvesUsers(t *testing.T) {
	made := 0
	for _, s := range program(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok || call.Sel.Name != "NewProof" {
				return true
			}
			made++
			if s.dir != "internal/login" {
				t.Errorf("%s: a proof that login did not make", s.at(n))
			}
			return true
		})
	}
	if made == 0 {
		t.Error("identity.NewProof is not called")
	}
}

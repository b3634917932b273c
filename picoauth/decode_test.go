package picoauth_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/picoauth"
)

type ownClaims struct {
	Tenant string          `json:"tenant"`
	Limits []int           `json:"limits"`
	Big    json.Number     `json:"big"`
	Role   picoauth.Role   `json:"role"`
	Rest   json.RawMessage `json:"rest"`
}

func TestDecodeReadsOwnClaims(t *testing.T) {
	g, key := fixedGuard(t, 0)
	who, err := g.Verify(t.Context(), sign(t, key, "k", atNoon(claims{
		"tenant": "acme", "limits": []int{1, 2}, "big": json.Number("9007199254740993"), "role": "operator",
		"rest": claims{"a": nil}, "Other": 1,
	})))
	if err != nil {
		t.Fatal(err)
	}
	var got ownClaims
	if err := who.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := ownClaims{"acme", []int{1, 2}, "9007199254740993", picoauth.Operator, json.RawMessage(`{"a":null}`)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var all map[string]any
	if err := who.Decode(&all); err != nil || all["sub"] != who.Subject || all["iss"] != wireIssuer {
		t.Errorf("%v, %v", all, err)
	}
}

// TestDecodeNeverContradictsTheFields: encoding/json accepts "ROLE" for a field
// named role, the guard does not.
func TestDecodeNeverContradictsTheFields(t *testing.T) {
	g, key := fixedGuard(t, 0)
	for name, changes := range map[string]claims{
		"a role in another case":          {"ROLE": "superadmin"},
		"a role besides the role":         {"role": "viewer", "Role": "superadmin"},
		"an own claim in two cases":       {"tenant": "a", "Tenant": "b"},
		"a subject in another case":       {"Sub": "another user"},
		"letters that fold to ASCII":      {"\u017fub": "another user"}, // a long s
		"a kelvin sign that folds to k":   {"to\u212aen": "a", "token": "b"},
		"a value of another type":         {"tenant": 1},
		"a value that is no role, on top": {"role": "root"},
	} {
		who, err := g.Verify(t.Context(), sign(t, key, "k", atNoon(changes)))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			ownClaims
			Sub   string `json:"sub"`
			Token string `json:"token"`
		}
		if err := who.Decode(&got); err == nil {
			t.Errorf("%s: decoded to %+v", name, got)
		}
	}
}

func TestDecodeOfAHandmadeContext(t *testing.T) {
	var got ownClaims
	who := &picoauth.SecurityContext{Claims: json.RawMessage(`{"tenant":"acme"}`)}
	if err := who.Decode(&got); err != nil || got.Tenant != "acme" {
		t.Errorf("%+v, %v", got, err)
	}
	err := (&picoauth.SecurityContext{}).Decode(&got)
	if err == nil || !strings.HasPrefix(err.Error(), "picoauth: ") {
		t.Errorf("without claims: %v", err)
	}
}

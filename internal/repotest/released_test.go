package repotest

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var released = flag.Bool("released", false, "write what a release promises to testdata/released.txt")

// releasedFile lists what users and databases of the latest release depend on. It is
// written when a release is prepared; README.md, Compatibility, is the promise.
const releasedFile = "testdata/released.txt"

// What a release had stays: a line that is removed breaks a program or a database. What is
// new is no part of the promise before it is released.
func TestWhatWasReleasedStays(t *testing.T) {
	now := slices.Concat(settingNames(t), errorCodes(t), metricNames(t), actionNames(t), claimNames(t), apiNames(t), commandNames(t), migrationSums(t))
	slices.Sort(now)
	now = slices.Compact(now)
	if *released {
		if err := os.WriteFile(releasedFile, []byte(strings.Join(now, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.Lines(string(read(t, releasedFile))) {
		if line = strings.TrimSpace(line); !slices.Contains(now, line) {
			t.Errorf("BREAKS users (README.md, Compatibility): removed or changed: %s", line)
		}
	}
}

// The list must have what it is said to have, or it holds nothing.
func TestTheReleasedListIsComplete(t *testing.T) {
	list := string(read(t, releasedFile))
	for _, want := range []string{
		"setting auth.issuer (AUTH_ISSUER)", "error invalid_credentials", "error invalid_grant", "error body_too_large", "metric pico_auth_build_info", "metric pico_auth_job_failures_total job", "action login",
		"claim of access tokens: jti", "claim of access tokens: groups", "claim of ID tokens: nonce", "claim of logout tokens: events", "claim of users: email_verified",
		"POST /api/v1/auth/login", "POST /api/v1/auth/login < email (required)", "POST /api/v1/auth/login > 200 access_token",
		"command user create <email> (required)", "command user list --json", "command client create --kind=machine", "command client create --no-pkce", "command -c",
		"GET /api/v1/auth/users > 200 users[].email", "migration 0001_schema.sql ", "GET /.well-known/openid-configuration > 200 token_endpoint",
	} {
		if !strings.Contains("\n"+list, "\n"+want) {
			t.Errorf("%s lacks %q", releasedFile, want)
		}
	}
}

var settingHeading = regexp.MustCompile("(?m)^### `([a-z_.]+)`$")

// settingNames are the settings and their variables.
func settingNames(t *testing.T) (names []string) {
	for _, m := range settingHeading.FindAllStringSubmatch(string(read(t, root+"/docs/configuration.md")), -1) {
		names = append(names, fmt.Sprintf("setting %s (%s)", m[1], strings.ToUpper(strings.ReplaceAll(m[1], ".", "_"))))
	}
	return names
}

var codeForm = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)

// errorCodes are the values of the field `error`.
func errorCodes(t *testing.T) (codes []string) {
	add := func(n ast.Expr) {
		if code := text(n); codeForm.MatchString(code) {
			codes = append(codes, "error "+code)
		}
	}
	for _, s := range program(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr: // fault.New(kind, code, message), newProblem(status, code, message)
				f, ok := n.Fun.(*ast.SelectorExpr)
				if ok = ok && named(f.X, "fault"); len(n.Args) > 2 && (ok || named(n.Fun, "newProblem")) {
					add(n.Args[1])
				}
			case *ast.CompositeLit: // &Error{status, code, message}
				if named(n.Type, "Error") && len(n.Elts) == 3 {
					add(n.Elts[1])
				}
			case *ast.KeyValueExpr:
				if named(n.Key, "Code") {
					add(n.Value)
				}
			case *ast.ValueSpec: // const InvalidGrant Code = "invalid_grant"
				if named(n.Type, "Code") && len(n.Values) == 1 {
					add(n.Values[0])
				}
			}
			return true
		})
	}
	return codes
}

func named(n ast.Expr, name string) bool {
	id, ok := n.(*ast.Ident)
	return ok && id.Name == name
}

var metricForm = regexp.MustCompile(`^pico_auth_[a-z_]*[a-z]$`)

// metricNames are the metrics and the labels of those of the collector.
func metricNames(t *testing.T) (names []string) {
	for _, s := range program(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if metricForm.MatchString(text(n)) {
					names = append(names, "metric "+text(n))
				}
			case *ast.CallExpr: // desc(name, help, labels...)
				if named(n.Fun, "desc") && s.dir == "internal/server" {
					names = append(names, "metric pico_auth_"+text(n.Args[0]))
					for _, label := range n.Args[2:] {
						names = append(names, "metric pico_auth_"+text(n.Args[0])+" "+text(label))
					}
				}
			}
			return true
		})
	}
	return names
}

// commandNames are the commands with their arguments and flags, as the list beside the
// program has them.
func commandNames(t *testing.T) (names []string) {
	for line := range strings.Lines(string(read(t, root+"/cmd/pico-auth/testdata/commands.txt"))) {
		names = append(names, "command "+strings.TrimSpace(line))
	}
	return names
}

func actionNames(t *testing.T) (names []string) {
	for value := range actions(t) {
		names = append(names, "action "+value)
	}
	return names
}

// claimStructs are the types of the package token whose fields are claims, by the kind of
// token that has them.
var claimStructs = map[string]string{
	"claims": "access tokens", "profile": "access tokens", "rfc9068": "access tokens", "Groups": "access tokens",
	"idClaims": "ID tokens", "logoutClaims": "logout tokens",
}

// claimNames are the claims of tokens, and those about users in ID tokens and userinfo.
func claimNames(t *testing.T) (names []string) {
	for _, s := range program(t) {
		if s.dir != "internal/token" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				fields, ok := n.Type.(*ast.StructType)
				if kind := claimStructs[n.Name.Name]; ok && kind != "" {
					for _, field := range fields.Fields.List {
						if field.Tag != nil {
							name, _, _ := strings.Cut(reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("json"), ",")
							names = append(names, "claim of "+kind+": "+name)
						}
					}
				}
			case *ast.CompositeLit: // {"name", value}
				if elements, ok := n.Type.(*ast.ArrayType); ok && named(elements.Elt, "userClaim") {
					for _, element := range n.Elts {
						if claim, ok := element.(*ast.CompositeLit); ok {
							names = append(names, "claim of users: "+text(claim.Elts[0]))
						}
					}
				}
			}
			return true
		})
	}
	return names
}

// migrationSums are the digests of the files that have made the schema of databases: a
// database that ran one never runs it again, so a change of it reaches new ones only.
func migrationSums(t *testing.T) (sums []string) {
	files, err := filepath.Glob(root + "/internal/store/migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	for _, name := range files {
		sums = append(sums, fmt.Sprintf("migration %s %x", filepath.Base(name), sha256.Sum256(read(t, name))))
	}
	return sums
}

// schema is the part of a JSON schema that names fields.
type schema struct {
	Ref        string            `json:"$ref"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
	Items      *schema           `json:"items"`
	OneOf      []schema          `json:"oneOf"`
	AnyOf      []schema          `json:"anyOf"`
	AllOf      []schema          `json:"allOf"`
}

// fields returns the fields, those of objects in it with a dot, those of lists with [].
func (s schema) fields(known map[string]schema, before string, depth int) (names []string) {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		s = known[name]
	}
	if depth == 0 {
		return nil
	}
	for name, property := range s.Properties {
		full := before + name
		if slices.Contains(s.Required, name) {
			names = append(names, full+" (required)")
		}
		names = append(names, full)
		names = append(names, property.fields(known, full+".", depth-1)...)
	}
	if s.Items != nil {
		names = append(names, s.Items.fields(known, strings.TrimSuffix(before, ".")+"[].", depth-1)...)
	}
	for _, part := range slices.Concat(s.OneOf, s.AnyOf, s.AllOf) {
		names = append(names, part.fields(known, before, depth-1)...)
	}
	return names
}

// apiNames are the endpoints of the API and of the provider, the fields that they take (<)
// and those of their responses (>). A field that a request newly requires breaks clients
// as well, so a request's line says which are required, and only it.
func apiNames(t *testing.T) (names []string) {
	type content map[string]struct {
		Schema schema `json:"schema"`
	}
	var document struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name string `json:"name"`
				In   string `json:"in"`
			} `json:"parameters"`
			Body struct {
				Content content `json:"content"`
			} `json:"requestBody"`
			Responses map[string]struct {
				Content content `json:"content"`
			} `json:"responses"`
		} `json:"paths"`
		Components struct {
			Schemas map[string]schema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(read(t, root+"/internal/httpapi/testdata/openapi.json"), &document); err != nil {
		t.Fatal(err)
	}
	known := document.Components.Schemas
	for path, methods := range document.Paths {
		for method, operation := range methods {
			route := strings.ToUpper(method) + " " + path
			names = append(names, route)
			for _, p := range operation.Parameters {
				names = append(names, route+" < "+p.In+" "+p.Name)
			}
			for _, body := range operation.Body.Content {
				fields := body.Schema.fields(known, "", 6)
				for _, field := range fields {
					if !slices.Contains(fields, field+" (required)") {
						names = append(names, route+" < "+field)
					}
				}
			}
			for _, status := range slices.Sorted(maps.Keys(operation.Responses)) {
				if code, err := strconv.Atoi(status); err != nil || code >= 400 {
					continue // problem documents, whose codes are listed
				}
				for _, body := range operation.Responses[status].Content {
					for _, field := range body.Schema.fields(known, "", 6) {
						if !strings.HasSuffix(field, " (required)") {
							names = append(names, route+" > "+status+" "+field)
						}
					}
				}
			}
		}
	}
	return names
}

package repotest

import (
	"slices"
	"strings"
	"testing"
)

// layers are the packages from top to bottom. A package may import any package of a
// layer below its own and none of its own.
var layers = [][]string{
	{"internal/torture", "internal/deploy", "internal/testrun", "internal/doctest", "internal/release", "bench"},
	{"bench/limit", "bench/site"},
	{"bench/load", "bench/report"},
	{"cmd/pico-auth"},
	{"internal/server"},
	{"internal/httpapi", "internal/oidc", "internal/hosted"},
	{"internal/testrig"},
	{"internal/web"},
	{"internal/directory"},
	{"internal/session", "internal/authorize"},
	{"internal/login", "internal/token"},
	{"internal/client"},
	{"internal/keyring", "internal/password", "internal/throttle", "internal/audit", "internal/job", "internal/outbound"},
	{"internal/store/storetest", "internal/store/transfer"},
	{"internal/store/adopt"},
	{"internal/keyring/vault", "internal/keyring/lifecycle"},
	{"internal/store"},
	{"internal/config"},
	{"internal/store/engine", "internal/datadir"},
	{"picoauth/picoauthtest"},
	{"picoauth", "clients/js"},
	{"internal/identity", "internal/oauth", "internal/jose", "internal/seal", "internal/bcrypt", "internal/bcrypt/gen", "internal/localkeys", "internal/roots"},
	{"internal/fault", "internal/owner", "internal/trace", "internal/thread", "internal/postgrestest", "internal/programtest", "internal/browsertest"},
}

// only names the packages that may import a package; a folder includes the folders
// below it. A map key that ends in a slash is a prefix.
var only = map[string][]string{
	"net/http":                           {"internal/localkeys", "internal/outbound", "internal/web", "internal/httpapi", "internal/oidc", "internal/hosted", "picoauth", "internal/server", "cmd", "bench/limit"},
	"net/http/":                          {"internal/web", "internal/httpapi", "picoauth", "internal/server", "cmd"},
	"database/sql":                       {"internal/store", "bench/site"},
	"database/sql/":                      {"internal/store"},
	"modernc.org/":                       {"internal/store", "bench/site"},
	"github.com/jackc/":                  {"internal/store", "bench/site"},
	"github.com/pressly/goose/":          {"internal/store"},
	"github.com/cloudflare/circl/":       {"internal/jose", "bench/limit"},
	"github.com/go-jose/":                {"internal/jose", "internal/httpapi"},
	"github.com/danielgtaylor/huma/":     {"internal/httpapi"},
	"github.com/alecthomas/kong":         {"cmd"},
	"go.yaml.in/":                        {"internal/config"},
	"github.com/HdrHistogram/":           {"bench/load"},
	"github.com/mileusna/":               {"internal/session"},
	"golang.org/x/crypto/bcrypt":         {"internal/password", "bench/limit", "bench/site"},
	"golang.org/x/crypto/x509roots/":     {"internal/roots"},
	"github.com/prometheus/":             {"internal/server"},
	"code.dny.dev/":                      {"internal/outbound"},
	"github.com/coreos/go-systemd/":      {"internal/server"},
	"testing":                            {"internal/store/storetest", "internal/testrig", "picoauth/picoauthtest", "internal/browsertest", "internal/programtest"},
	module + "/internal/config":          {"internal/server", "cmd"},
	module + "/picoauth":                 {"internal/httpapi", "internal/server", "cmd", "picoauth/picoauthtest"},
	module + "/internal/localkeys":       {"internal/server", "cmd", "picoauth"},
	module + "/internal/server":          {"cmd"},
	module + "/internal/httpapi":         {"internal/server"},
	module + "/internal/oidc":            {"internal/server"},
	module + "/internal/hosted":          {"internal/server"},
	module + "/internal/web":             {"internal/httpapi", "internal/oidc", "internal/hosted", "internal/server"},
	module + "/internal/store/storetest": {"internal/testrig"},
	module + "/internal/store/adopt":     {"internal/store/transfer", "internal/store/storetest", "internal/testrig", "internal/server"},
	module + "/internal/store/transfer":  {"cmd"},
	module + "/internal/store/engine":    {"internal/store", "internal/config", "cmd"},
	module + "/internal/postgrestest":    {"internal/store/storetest", "internal/testrun", "bench"},
	module + "/internal/programtest":     {"internal/testrun"},
	module + "/internal/browsertest":     {},
	module + "/picoauth/picoauthtest":    {},
	module + "/clients/js":               {},
	module + "/internal/repotest":        {},
	module + "/internal/doctest":         {},
	module + "/internal/testrig":         {},
	module + "/internal/torture":         {},
	module + "/internal/deploy":          {},
}

// never names what a package must not import although the layers would allow it.
var never = map[string][]string{
	"internal/httpapi":      {module + "/internal/store"},
	"internal/oidc":         {module + "/internal/store"},
	"internal/hosted":       {module + "/internal/store"},
	"internal/web":          {module + "/internal/store", module + "/internal/token", module + "/internal/login", module + "/internal/directory", module + "/picoauth"},
	"internal/jose":         {module + "/", "os", "net", "net/"},
	"internal/fault":        {module + "/"},
	"internal/identity":     {"os", "net", "net/http", "net/url"}, // net/netip does no network I/O
	"internal/oauth":        {module + "/", "os", "net"},
	"internal/seal":         {module + "/", "os", "net", "net/"},
	"picoauth":              {module + "/internal/identity", module + "/internal/fault"},
	"picoauth/picoauthtest": {module + "/internal/identity", module + "/internal/fault"},
}

func layerOf(dir string) int {
	return slices.IndexFunc(layers, func(packages []string) bool { return slices.Contains(packages, dir) })
}

func TestImportsGoDownwardsOnly(t *testing.T) {
	for _, s := range program(t) {
		layer := layerOf(s.dir)
		if layer < 0 && s.dir != "internal/repotest" && !strings.HasPrefix(s.dir, "tools") {
			t.Errorf("%s: the package is in no layer", s.path)
		}
		for _, imported := range s.imports() {
			pkg, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			if below := layerOf(pkg); below <= layer {
				t.Errorf("%s imports %s, which is not in a layer below it", s.path, pkg)
			}
		}
	}
}

func TestRestrictedImportsStayInTheirPackages(t *testing.T) {
	for _, s := range program(t) {
		for _, imported := range s.imports() {
			for restricted, packages := range only {
				if matches(imported, restricted) && !inside(s.dir, packages) {
					t.Errorf("%s imports %s; only %v may", s.path, imported, packages)
				}
			}
			for _, forbidden := range never[s.dir] {
				if matches(imported, forbidden) {
					t.Errorf("%s imports %s, which it must not", s.path, imported)
				}
			}
		}
	}
}

// A program that imports picoauth gets jose, localkeys and the standard library, and
// no other dependency.
func TestPublicPackageHasNoDependencies(t *testing.T) {
	for _, s := range program(t) {
		if !inside(s.dir, []string{"picoauth"}) {
			continue
		}
		for _, imported := range s.imports() {
			outside := strings.Contains(strings.Split(imported, "/")[0], ".")
			if outside && imported != module+"/internal/jose" && imported != module+"/internal/localkeys" && imported != module+"/picoauth" {
				t.Errorf("%s imports %s", s.path, imported)
			}
		}
	}
}

func TestEveryNamedPackageExists(t *testing.T) {
	for _, packages := range layers {
		for _, pkg := range packages {
			if !slices.ContainsFunc(program(t), func(s source) bool { return s.dir == pkg }) {
				t.Errorf("%s is named and does not exist", pkg)
			}
		}
	}
}

func matches(imported, pattern string) bool {
	if strings.HasSuffix(pattern, "/") {
		return strings.HasPrefix(imported, pattern)
	}
	return imported == pattern
}

func inside(dir string, packages []string) bool {
	return slices.ContainsFunc(packages, func(pkg string) bool { return dir == pkg || strings.HasPrefix(dir, pkg+"/") })
}

package httpapi

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// base is the path of the issuer that the tests run under.
var base = flag.String("base", "", "path of the issuer, such as /auth")

func testIssuer() string { return "http://localhost:8100" + *base }

// TestSuiteUnderThePathOfTheIssuer runs every other test of the API again, for
// an issuer with a path, with every request under it. web tests proxies that strip
// the path.
func TestSuiteUnderThePathOfTheIssuer(t *testing.T) {
	if testing.Short() || *base != "" {
		t.Skip("it runs the whole suite once more")
	}
	out, err := exec.CommandContext(t.Context(), os.Args[0], "-base=/auth", "-test.short").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestPagesAndLinksFollowTheIssuer(t *testing.T) {
	r := newPublic(t)
	for path, links := range map[string][]string{
		"/docs": {`href="/docs/swagger-ui.css"`, `src="/docs/swagger-ui-bundle.js"`, `src="/docs/init.js"`, `href="/openapi.json"`, `"/openapi.json"></div>`},
	} {
		page := string(r.want(200, r.call("GET", path, "", "")).raw)
		for _, link := range links {
			link = strings.Replace(link, `"/`, `"`+*base+"/", 1)
			if !strings.Contains(page, link) {
				t.Errorf("%s lacks %s", path, link)
			}
		}
	}
}

package main

import (
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// A refusal names what was typed, flag or argument, and not the field of the API that it
// sets; several faults are a line each.
func TestARefusalNamesTheFlag(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AUTH_BCRYPT_COST", "10")
	if code, _, said := typed(t, "a-good-passphrase\n", "user", "create", "ada@example.com"); code != 0 {
		t.Fatal(said)
	}
	const web = "client create --kind web --redirect-uri https://a.example/ "
	for line, want := range map[string][]string{
		"client create --kind web":                        {"--redirect-uri must have a URI "},
		"client create --kind web --redirect-uri x":       {"--redirect-uri must be an absolute URI"},
		web + "--scope é --role boss":                     {"--scope must be ", "--role must be one of "},
		web + "--post-logout-redirect-uri x":              {"--post-logout-redirect-uri must be "},
		web + "--backchannel-logout-uri x":                {"--backchannel-logout-uri must be "},
		web + "--grant-type x":                            {"--grant-type must be "},
		web + "--auth-method x":                           {"--auth-method must be "},
		web + "--auth-method private_key_jwt":             {"--jwks must be "},
		web + "--auth-method none --no-pkce":              {"--[no-]pkce must be true "},
		web + "--claim iss=admin.team":                    {"--claim must not "},
		web + "--audience x":                              {"--audience must be "},
		web + "--logo /dev/null":                          {"--logo: /dev/null is not a PNG or WebP image"},
		web + "--id-token-alg x":                          {"--id-token-alg must be "},
		web + "--access-token-alg x":                      {"--access-token-alg must be "},
		web + "--set access_token_lifetime=1":             {"--set access_token_lifetime must be "},
		web + "--set nonsense=1":                          {"--set nonsense is not a field of a client"},
		web + "--set audiences=[\"x\"]":                   {"--set audiences must be "},
		"user create nonsense --org a\u00a0b":             {"<email> must be ", "--org must be "},
		"user set-email ada@example.com nonsense":         {"<new-address> must be "},
		"user update ada@example.com --user-metadata {":   {"--user-metadata must be a JSON object"},
		"user list -q " + strings.Repeat("q", 100):        {"--query must be "},
		"org create Acme --id a\u00a0b":                   {"--id must be "},
		"group create \u00a0":                             {"<name> must not be blank"},
		"service-token create ci --expires-at 2020-01-01": {"--expires-at must be in the future"},
		"service-token create ci --audience x":            {"--audience must be "},
		"copy --to postgres://[::1":                       {"--to is malformed; "},
	} {
		code, out, said := typed(t, "a-good-passphrase\n", strings.Split(line, " ")...)
		lines := strings.Split(strings.TrimSuffix(said, "\n"), "\n")
		for i := range want {
			if code == 0 || out != "" || len(lines) != len(want) || !strings.HasPrefix(lines[i], "pico-auth: "+want[i]) {
				t.Errorf("%s: exit %d, %s%s", line, code, out, said)
				break
			}
		}
	}
}

// So does a refusal that is not about the value of one field.
func TestARefusalNamesTheFlagThatDecides(t *testing.T) {
	parser, err := newParser(&cli{}, &shell{})
	if err != nil {
		t.Fatal(err)
	}
	command, err := parser.Parse([]string{"user", "delete", "ada@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	refused := &fault.Error{Kind: fault.Conflict, Message: "decide with service_tokens", Fields: []fault.Field{{Name: "service_tokens", Message: "a.b"}, {Name: "service_tokens", Message: "c"}}}
	if got := sentence(inFlags(command.Selected(), refused)); got != "decide with --service-tokens\na.b\nc" {
		t.Error(got)
	}
}

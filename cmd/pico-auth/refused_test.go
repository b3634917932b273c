package main

import (
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/programtest"
)

// A refusal is one line that says what to do, also where a terminal would have asked. What
// does not exist is refused before a question.
func TestARefusedCommandPrintsOneLine(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AUTH_BCRYPT_COST", "10")
	if code, _, said := typed(t, "a-good-passphrase\n", "user", "create", "alice@example.com"); code != 0 {
		t.Fatal(said)
	}
	for _, line := range []string{"service-token create ci", "group create staff"} {
		if code, _, said := typed(t, "", strings.Fields(line)...); code != 0 {
			t.Fatal(said)
		}
	}
	for line, want := range map[string]string{
		"user delete alice@example.com":           " is viewer in default, with 0 sessions and 0 groups: nothing was changed; --yes deletes without asking\n",
		"session end alice@example.com x":         "there is no such session\n",
		"session end alice@example.com --all":     "This ends all sessions of alice@example.com (0 sessions): nothing was changed; --yes does not ask\n",
		"service-token revoke absent":             "there is no service token named absent in default; ",
		"service-token revoke ci":                 "ci in default is operator, last used: never. Programs that use it will be refused: nothing was changed; --yes revokes without asking\n",
		"client delete absent":                    "there is no such client\n",
		"client revoke-tokens absent":             "there is no such client\n",
		"client rotate-secret absent --revoke":    "there is no such client\n",
		"client update absent --status suspended": "there is no such client\n",
		"group delete absent":                     "there is no such group\n",
		"group delete staff":                      "staff in default has 0 members: nothing was changed; --yes deletes without asking\n",
		"org delete absent":                       "there is no such organization\n",
		"org delete default":                      "default is active (default), with 1 user: nothing was changed; --yes deletes without asking\n",
		"org suspend absent":                      "there is no such organization\n",
		"user reset-password absent":              "there is no such user\n",
		"copy --to x":                             "--to must be the URL of a PostgreSQL database, ",
		"backup /no/such/folder/b.db":             "the backup /no/such/folder/b.db cannot be written (no such file or directory)\n",
		"restore /no/such/b.db":                   "/no/such/b.db does not exist or is empty\n",
		"user set-email alice@example.com nobody": "must be a valid e-mail address",
		"user show unknown":                       "there is no such user\n",
		"user":                                    "a command is missing, one of create, list, ",
		"audit list --address localhost":          "--address must be an IP address, such as 192.0.2.7\n",
		"audit list --from yesterday":             "--from must be a day or a time in UTC",
		"config check --config absent.yaml":       "the configuration file cannot be read: absent.yaml: no such file or directory\n",
		"health":                                  "/readyz (connection refused): is it running, with this configuration?\n",
	} {
		t.Setenv("SERVER_PORT", programtest.FreePort(t))
		code, out, said := typed(t, "", strings.Fields(line)...)
		if code == 0 || out != "" || !strings.HasPrefix(said, "pico-auth: ") || strings.Count(said, "\n") != 1 || !strings.Contains(said, want) {
			t.Errorf("%s: exit %d, %s%s", line, code, out, said)
		}
	}
}

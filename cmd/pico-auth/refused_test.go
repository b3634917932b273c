package main

import (
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/programtest"
)

// A refusal is one line that says what to do, also where a terminal would have asked.
func TestARefusedCommandPrintsOneLine(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AUTH_BCRYPT_COST", "10")
	if code, _, said := typed(t, "a-good-passphrase\n", "user", "create", "alice@example.com"); code != 0 {
		t.Fatal(said)
	}
	for line, want := range map[string]string{
		"user delete alice@example.com":           " is viewer in default, with 0 sessions and 0 groups: nothing was changed; --yes deletes without asking\n",
		"session end alice@example.com x":         "This ends session x of alice@example.com: nothing was changed; --yes does not ask\n",
		"service-token revoke ci":                 "Programs that use it will be refused: nothing was changed; --yes revokes without asking\n",
		"copy --to x":                             "--to must be the URL of a PostgreSQL database, ",
		"backup /no/such/folder/b.db":             "the backup /no/such/folder/b.db cannot be written (no such file or directory)\n",
		"restore /no/such/b.db":                   "/no/such/b.db does not exist or is empty\n",
		"user set-email alice@example.com nobody": "must be a valid e-mail address",
		"user show unknown":                       "there is no such user\n",
		"user":                                    "a command is missing, one of create, list, ",
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

//go:build linux

package torture

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestARefusedStartLeavesNothingBehind: a database or a folder of keys that root's first
// attempt has left would stop the account of the server.
func TestARefusedStartLeavesNothingBehind(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		says string
	}{
		"default password": {map[string]string{"SERVER_HOST": "0.0.0.0", "AUTH_ADMIN_PASSWORD": "admin"}, "default password"},
		"weak password":    {map[string]string{"AUTH_ADMIN_PASSWORD": "short"}, "password"},
		"organization":     {map[string]string{"AUTH_REGISTRATION_ORG": "guests"}, "registration_org"},
		"sealed":           {map[string]string{"KEYS_AT_REST": "sealed"}, "master_key"},
		"metrics":          {map[string]string{"SERVER_METRICS_LISTEN": "192.0.2.1:9100"}, "metrics_listen"},
		"stream":           {map[string]string{"AUDIT_STREAM": "/no/such/folder/audit.log"}, "audit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			maps.Copy(s.env, c.env)
			if code, out := s.run("serve"); code == 0 || !strings.Contains(out, c.says) {
				t.Errorf("exit code %d: %s", code, out)
			}
			left, err := os.ReadDir(s.dir)
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

// TestAStartWithoutItsKeysMakesNoFolderOfKeys: an empty folder would hide that
// auth.data_dir names the wrong one.
func TestAStartWithoutItsKeysMakesNoFolderOfKeys(t *testing.T) {
	t.Parallel()
	s, _, _ := settle(t)
	s.env["AUTH_DATA_DIR"] = filepath.Join(s.dir, "wrong", "keys")
	if code, out := s.run("serve"); code != 2 || !strings.Contains(out, "keys") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "wrong")); !os.IsNotExist(err) {
		t.Errorf("the folder exists: %v", err)
	}
}

func TestADamagedKeyIsRefusedBeforeTheDatabaseIsMade(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	keys := filepath.Join(s.dir, "keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(keys, "private.pem"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := s.run("serve"); code != 2 || !strings.Contains(out, "private.pem") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const (
	masterStd = "-v0vAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4" // RFC 4648 section 5
	postgres  = "DATABASE_URL=postgresql://h/db"
)

func TestTheMasterKeyComesFromAnyOfItsPlaces(t *testing.T) {
	file := filepath.Join(t.TempDir(), "master")
	if err := os.WriteFile(file, []byte(masterStd+"\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pointer := filepath.Join(t.TempDir(), "pointer")
	if err := os.WriteFile(pointer, []byte("file:"+file+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(masterStd) + "="
	for _, c := range []struct{ yaml, env, want string }{
		{"", "", ""},
		{"auth: {master_key: ''}", "", ""},
		{"auth: {master_key: '" + masterStd + "'}", "", masterStd},
		{"auth: {master_key: '" + standard + "'}", "", standard},
		{"auth: {master_key: 'file:" + file + "'}", "", masterStd},
		{"", "AUTH_MASTER_KEY=file:" + file, masterStd},
		{"", "AUTH_MASTER_KEY=" + masterStd, masterStd},
		{"", "AUTH_MASTER_KEY_FILE=" + pointer, masterStd},
	} {
		env := []string{postgres}
		if c.env != "" {
			env = append(env, c.env)
		}
		if got := mustLoad(t, c.yaml, env...); string(got.Auth.MasterKey) != c.want {
			t.Errorf("%+v: another key", c)
		}
	}
}

func TestAFileOfASecretThatOthersMayOpenIsWarnedAbout(t *testing.T) {
	file := filepath.Join(t.TempDir(), "master")
	for mode, open := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o644: true, 0o602: true} {
		_ = os.Remove(file)
		if err := os.WriteFile(file, []byte(masterStd+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		open = open && runtime.GOOS != "windows" // whose modes do not say who may open a file
		for _, setting := range []string{"AUTH_MASTER_KEY=file:" + file, "AUTH_MASTER_KEY_FILE=" + file} {
			_, warnings, err := load(t, "", postgres, setting)
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("names the file %s, which other users of this machine may open (mode %04o): run `chmod 600 %[1]s`", file, mode)
			if got := strings.Join(warnings, "\n"); strings.Contains(got, want) != open || strings.Contains(got, "chmod") != open {
				t.Errorf("%04o, %s: %s", mode, setting, got)
			}
		}
	}
}

func TestABadMasterKeyIsNamedAndNotShown(t *testing.T) {
	const rule = "must be 32 bytes in base64, such as `openssl rand -base64 32` prints, or file:PATH of a file that holds them"
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("c2hvcnQtc2VjcmV0"), 0o600); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		"c2hvcnQtc2VjcmV0": rule,
		"file:":            rule,
		masterStd + "AAAA": rule,
		"file:/absent/m":   "cannot be read: /absent/m: " + absence(t, "/absent/m"),
		"file:" + short:    "names the file " + short + ", which does not hold 32 bytes in base64",
	} {
		_, _, err := load(t, "auth:\n  master_key: '"+value+"'\n", postgres)
		if want := "auth.master_key (a.yaml:2) " + want; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "c2hvcnQt") {
			t.Errorf("shows it: %v", err)
		}
	}
}

// absence is what this system says of a file that does not exist.
func absence(t *testing.T, path string) string {
	t.Helper()
	_, err := os.ReadFile(path)
	failed, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		t.Fatal(err)
	}
	return failed.Err.Error()
}

func TestTheMasterKeyDoesNotPrint(t *testing.T) {
	c := mustLoad(t, "auth: {master_key: '"+masterStd+"'}", postgres)
	encoded, err := json.Marshal(c.Settings())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %s %s", c, c, c, encoded, whole)
	if strings.Contains(all, masterStd) || !strings.Contains(string(encoded), `"auth.master_key","value":"[redacted]"`) {
		t.Error(all)
	}
}

func TestAMasterKeyForSQLiteIsWarnedOf(t *testing.T) {
	_, warnings, err := load(t, "auth: {master_key: '"+masterStd+"'}")
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "auth.master_key (a.yaml:1) does not seal the signing keys with SQLite") {
		t.Errorf("%v %v", warnings, err)
	}
}

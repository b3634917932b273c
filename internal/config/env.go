package config

import (
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"github.com/pico-auth/pico-auth/internal/seal"
)

// maxSecretFile bounds what is read from the file of a secret.
const maxSecretFile = 64 << 10

// variable is the environment variable of a setting: AUTH_CLIENT_ISSUER for
// auth_client.issuer. It is looked up, never split, so it cannot be mistaken for a
// setting client_issuer of auth.
func variable(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

// readEnvironment applies SECTION_SETTING variables, and warns about those that
// look like one and are none.
func (l *loader) readEnvironment() {
	known := make(map[string]bool)
	for _, k := range settings() {
		name := variable(k.name)
		known[name] = true
		text, ok := l.env[name]
		if k.secret {
			known[name+"_FILE"] = true
			if l.readSecretFile(k, name, ok) {
				continue
			}
		}
		if ok {
			l.set(k, value{text: text, where: "environment " + name})
		}
	}
	l.warnUnused(known)
}

// ownSections are the sections whose variables are meant for this server. Others
// set LOG_ variables too.
var ownSections = []string{"AUDIT", "AUTH", "DATABASE", "FASTAPI", "GROUPS", "KEYS", "SERVER", "THROTTLE"}

// warnUnused warns about variables that look like a setting and have no effect.
func (l *loader) warnUnused(known map[string]bool) {
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		section, rest, found := strings.Cut(name, "_")
		if known[name] || !found || !slices.Contains(ownSections, section) {
			continue
		}
		if after, ok := strings.CutPrefix(rest, "CLIENT_"); ok && section == "AUTH" {
			section, rest = "AUTH_CLIENT", after
		}
		key := strings.ToLower(section + "." + rest)
		if why, ok := ignored(key); ok {
			l.warn(key, "environment "+name, "has no effect: "+why)
		} else {
			l.warn("", "environment "+name, "is not a setting and is ignored")
		}
	}
}

// readSecretFile reads a secret from the file that NAME_FILE names. It
// reports whether there is such a variable.
func (l *loader) readSecretFile(k setting, name string, alsoPlain bool) bool {
	path, ok := l.env[name+"_FILE"]
	if !ok {
		return false
	}
	where := "environment " + name + "_FILE"
	if alsoPlain {
		l.fault(k.name, where, "is set by "+name+" as well: keep one of them")
		return true
	}
	text, err := readSmall(path, maxSecretFile)
	if err != nil {
		l.fault(k.name, where, "cannot be read: "+err.Error())
		return true
	}
	l.warnOpen(k.name, where, path)
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	l.set(k, value{text: text, where: fmt.Sprintf("%s (%s_FILE)", path, name)})
	return true
}

// warnOpen warns about the file of a secret that others than its owner may read or write.
// It does not where the operator cannot change that, and need not: Kubernetes, compose
// and systemd mount secrets read-only into what only the server sees. The group of a
// file that belongs to another account may read it: that is how root gives it to us.
func (l *loader) warnOpen(name, where, path string) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || runtime.GOOS == "windows" || onReadOnlyMount(path) {
		return
	}
	private := os.FileMode(0o066)
	if isOthers(info) {
		private = 0o026
	}
	if info.Mode().Perm()&private != 0 {
		l.warn(name, where, fmt.Sprintf("names the file %s, which other users of this machine may open (mode %04o): run `chmod 600 %[1]s`", path, info.Mode().Perm()))
	}
}

// filePrefix marks a value that is the path of the file with the value.
const filePrefix = "file:"

// readMasterKey reads a master key from the file that a setting names.
func (l *loader) readMasterKey(name string, key *Secret) {
	path, inFile := strings.CutPrefix(string(*key), filePrefix)
	if !inFile {
		return
	}
	text, err := readSmall(path, maxSecretFile)
	if err != nil {
		l.faultAt(name, "cannot be read: "+err.Error())
		return
	}
	text = strings.TrimSpace(text)
	if stray := StrayCharacter(text); stray != "" {
		l.faultAt(name, "names the file "+path+", which must not contain "+stray)
		return
	}
	if _, err := seal.Parse(text); err != nil {
		l.faultAt(name, "names the file "+path+", which does not hold 32 bytes in base64")
		return
	}
	l.warnOpen(name, l.config.origins[name], path)
	*key = Secret(text)
}

// StrayCharacter names the first character of a secret that an editor, a shell or a
// file left there: a control character or a byte order mark. Empty: there is none.
func StrayCharacter(secret string) string {
	for _, r := range secret {
		switch {
		case r == '\ufeff' || r == '\ufffe':
			return "a byte order mark (U+FEFF)"
		case r == '\n':
			return "a line feed (U+000A)"
		case r == '\r':
			return "a carriage return (U+000D)"
		case r == '\t':
			return "a tab (U+0009)"
		case unicode.IsControl(r):
			return fmt.Sprintf("a control character (%U)", r)
		}
	}
	return ""
}

// readSmall reads a file of at most limit bytes. Its errors name the file.
func readSmall(path string, limit int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", plain(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return "", plain(err)
	}
	if int64(len(b)) > limit {
		return "", fmt.Errorf("%s is larger than %d KiB", path, limit>>10)
	}
	return string(b), nil
}

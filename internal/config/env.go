package config

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// maxSecretFile bounds what is read from the file of a secret.
const maxSecretFile = 64 << 10

// variable is the environment's name of a key: AUTH_CLIENT_ISSUER for
// auth_client.issuer. It is looked up, never taken apart, so it cannot be
// mistaken for a key client_issuer of auth.
func variable(key string) string {
	return strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// readEnvironment takes over SECTION_KEY variables, and warns about those that
// look like ours and are none.
func (l *loader) readEnvironment() {
	known := make(map[string]bool)
	for _, k := range keys() {
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
	for _, old := range ignoredKeys() {
		name := variable(old.name)
		known[name] = true
		if _, ok := l.env[name]; ok {
			l.warn(old.name, "environment "+name, "has no effect: "+old.why)
		}
	}
	l.warnUnknown(known)
}

func (l *loader) warnUnknown(known map[string]bool) {
	var unknown []string
	for name := range l.env {
		section, _, _ := strings.Cut(name, "_")
		ours := slices.Contains([]string{"AUTH", "DATABASE", "FASTAPI", "SERVER"}, section)
		if ours && !known[name] && section != name {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		l.warn("", "environment "+name, "is no setting and is ignored")
	}
}

// readSecretFile takes a secret from the file that NAME_FILE points at. It
// reports whether there is such a variable.
func (l *loader) readSecretFile(k key, name string, alsoPlain bool) bool {
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
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	l.set(k, value{text: text, where: fmt.Sprintf("%s (%s_FILE)", path, name)})
	return true
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

package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// DefaultFile is the configuration that Load looks for in the working folder.
const DefaultFile = "application.yaml"

// Options says where Load reads from.
type Options struct {
	File    string   // must exist; empty: DefaultFile if there is one
	Environ []string // NAME=value; nil: os.Environ()
}

// value is the raw value of one setting from one source.
type value struct {
	text  string
	list  bool    // entries instead of text
	items []value // of a list
	where string  // file and line, or environment variable
}

// loader collects what Load finds.
type loader struct {
	config   Config
	env      map[string]string
	faults   Faults
	warnings []string
}

// Load reads the file, then the environment on top of it. The warnings are
// sentences about values that are ignored or suspicious and do not prevent the
// start. The error is a Faults with everything that does.
func Load(o Options) (Config, []string, error) {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	l := &loader{config: defaults(), env: environment(o.Environ)}
	l.config.origins = make(map[string]string)
	l.readFile(o.File)
	l.readEnvironment()
	l.expandHome()
	l.readMasterKey("auth.master_key", &l.config.Auth.MasterKey)
	l.readMasterKey("auth.former_master_key", &l.config.Auth.FormerMasterKey)
	l.config.follow()
	l.check()
	if len(l.faults) > 0 {
		return Config{}, l.warnings, l.faults
	}
	return l.config, l.warnings, nil
}

// environment makes a map of NAME=value pairs; the last of one name counts.
func environment(pairs []string) map[string]string {
	env := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		if name, text, ok := strings.Cut(pair, "="); ok {
			env[name] = text
		}
	}
	return env
}

// set applies one value or records what is wrong with it.
func (l *loader) set(k setting, v value) {
	if stray := StrayCharacter(v.text); k.secret && stray != "" {
		l.fault(k.name, v.where, "must not contain "+stray)
		return
	}
	bad := k.set(&l.config, v)
	for _, where := range bad {
		l.fault(k.name, where, "must be "+k.rule)
	}
	if len(bad) == 0 {
		l.config.origins[k.name] = v.where
	}
}

func (l *loader) fault(key, where, what string) {
	l.faults = append(l.faults, Fault{Key: key, Where: where, What: what})
}

// faultAt records a fault of a value that was already applied.
func (l *loader) faultAt(key, what string) { l.fault(key, l.config.Origins()[key], what) }

func (l *loader) warn(key, where, what string) {
	l.warnings = append(l.warnings, Fault{Key: key, Where: where, What: what}.String())
}

// expandHome replaces a leading ~ in the settings that are paths, as the original
// did for its data folder.
func (l *loader) expandHome() {
	c := &l.config
	l.expand("auth.data_dir", &c.Auth.DataDir)
	l.expand("pages.logo", &c.Pages.Logo)
	l.expand("pages.style_sheet", &c.Pages.StyleSheet)
	l.expand("server.tls_cert", &c.Server.TLSCert)
	l.expand("server.tls_key", &c.Server.TLSKey)
	l.expand("audit.stream", &c.Audit.Stream)
}

func (l *loader) expand(key string, path *string) {
	rest, ok := strings.CutPrefix(*path, "~")
	home := l.home()
	switch {
	case !ok:
	case rest != "" && !os.IsPathSeparator(rest[0]):
		l.faultAt(key, "must not name another user's home folder")
	case home == "":
		l.faultAt(key, "begins with ~, but there is no home folder: set HOME, or a path without ~")
	default:
		*path = filepath.Join(home, rest)
	}
}

func (l *loader) home() string {
	if runtime.GOOS == "windows" {
		return l.env["USERPROFILE"]
	}
	return l.env["HOME"]
}

package config

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
// start. The error is a Faults with everything that does; the configuration then serves
// to find further faults only.
func Load(o Options) (Config, []string, error) {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	l := &loader{config: defaults(), env: environment(o.Environ)}
	l.config.origins = make(map[string]string)
	l.readFile(o.File)
	file := l.config
	file.origins = maps.Clone(file.origins)
	l.readEnvironment()
	l.compare(file)
	l.expandHome()
	l.readMasterKey("auth.master_key", &l.config.Auth.MasterKey)
	l.readMasterKey("auth.former_master_key", &l.config.Auth.FormerMasterKey)
	l.config.follow()
	l.check()
	if len(l.faults) > 0 {
		return l.config, l.warnings, l.faults
	}
	return l.config, l.warnings, nil
}

// compare notes what the environment changed that makes an installation what it is to
// its clients, and lets auth_client follow auth. file is the configuration without
// the environment.
func (l *loader) compare(file Config) {
	c, former, current := &l.config, file, l.config
	former.follow()
	current.follow()
	for name, field := range installation {
		if *field(&former) != *field(&current) {
			by := cmp.Or(c.origins[name], c.origins["server.port"], c.origins["server.tls"], c.origins["server.tls_cert"]) // the issuer follows them
			c.replaced = append(c.replaced, Replaced{Key: name, By: by, Of: file.Origins()[name], Former: Secret(*field(&former))})
		}
	}
	slices.SortFunc(c.replaced, func(a, b Replaced) int { return strings.Compare(a.Key, b.Key) })
	usual := Default()
	l.followAuth("auth_client.issuer", "auth.issuer", &c.AuthClient.Issuer, current.Auth.Issuer, usual.Auth.Issuer, former.Auth.Issuer)
	l.followAuth("auth_client.audience", "auth.audience", &c.AuthClient.Audience, current.Auth.Audience, usual.Auth.Audience, former.Auth.Audience)
}

// installation has the settings whose change makes another installation of it.
var installation = map[string]func(*Config) *string{
	"auth.issuer":    func(c *Config) *string { return &c.Auth.Issuer },
	"auth.audience":  func(c *Config) *string { return &c.Auth.Audience },
	"auth.algorithm": func(c *Config) *string { return &c.Auth.Algorithm },
	"auth.data_dir":  func(c *Config) *string { return &c.Auth.DataDir },
	"database.url":   func(c *Config) *string { return (*string)(&c.Database.URL) },
}

// followAuth empties a setting of auth_client that has one of the left values, which
// stand in the files of the original, where auth has another value, so that it follows.
func (l *loader) followAuth(name, of string, setting *string, auth string, left ...string) {
	if *setting == "" || *setting == auth || !slices.Contains(left, *setting) {
		return
	}
	origins := l.config.Origins()
	l.warn(name, origins[name], "differs from "+of+" ("+origins[of]+") and follows it: remove it")
	*setting = ""
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

package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds the configuration file.
const maxFile = 1 << 20

// readFile applies a YAML file. It walks the nodes instead of decoding into
// structs: that finds all faults at once, each with its line.
func (l *loader) readFile(file string) {
	name := file
	if name == "" {
		name = DefaultFile
	}
	content, err := readSmall(name, maxFile)
	if _, absent := os.Lstat(name); errors.Is(absent, fs.ErrNotExist) && file == "" {
		return // a dangling link: its file was lost
	}
	if err != nil {
		l.fault("", "the configuration file", "cannot be read: "+err.Error())
		return
	}
	decoder := yaml.NewDecoder(strings.NewReader(content))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return
	} else if err != nil {
		l.badYAML(name, err)
		return
	}
	if err := decoder.Decode(&second); err == nil {
		l.fault("", place(name, &second), "begins a second YAML document: the configuration is one document")
	} else if !errors.Is(err, io.EOF) {
		l.badYAML(name, err)
	}
	y := yamlReader{loader: l, file: name, settings: make(map[string]setting)}
	for _, k := range settings() {
		y.settings[k.name] = k
	}
	y.root(document.Content[0])
}

// badYAML turns a parser's error, which may quote the file, into a sentence.
func (l *loader) badYAML(file string, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	where := file
	if m := regexp.MustCompile(`^line (\d+): (.*)$`).FindStringSubmatch(message); m != nil {
		where, message = file+":"+m[1], m[2]
	}
	switch {
	case strings.Contains(message, "anchor"):
		message = "a value that begins with * or & must stand in quotes"
	case strings.Contains(message, "cannot start any token"):
		message = "indent with spaces, not with tabs; a value that begins with @, % or ` must stand in quotes"
	}
	message, _, _ = strings.Cut(message, "\n")
	l.fault("", where, "is not valid YAML: "+message)
}

func place(file string, n *yaml.Node) string { return file + ":" + strconv.Itoa(n.Line) }

// yamlReader applies one document.
type yamlReader struct {
	*loader
	file     string
	settings map[string]setting
}

func (y yamlReader) root(n *yaml.Node) {
	for name, section := range y.pairs("", n) {
		if name.Value == "clients" {
			y.clients(name, section)
			continue
		}
		y.section(name, section)
	}
}

func (y yamlReader) section(name, content *yaml.Node) {
	known := false
	for full := range y.settings {
		known = known || strings.HasPrefix(full, name.Value+".")
	}
	if !known {
		y.fault(name.Value, place(y.file, name), "is not a section of the configuration")
		return
	}
	for key, n := range y.pairs(name.Value, content) {
		y.setting(name.Value+"."+key.Value, place(y.file, key), n)
	}
}

func (y yamlReader) setting(full, where string, n *yaml.Node) {
	if why, ok := ignored(full); ok {
		y.warn(full, where, "has no effect: "+why)
		return
	}
	k, ok := y.settings[full]
	if !ok {
		y.fault(full, where, "is not a setting")
		return
	}
	if v, ok := y.value(full, where, n); ok {
		y.set(k, v)
	}
}

// pairs walks a mapping. The parser accepts duplicate keys.
func (y yamlReader) pairs(section string, n *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	n = resolve(n)
	return func(yield func(key, content *yaml.Node) bool) {
		if isNull(n) {
			return
		}
		if n.Kind != yaml.MappingNode {
			what := "must hold settings, each on its own line below it"
			if section == "" {
				what = "must hold sections such as auth: and server:"
			}
			y.fault(section, place(y.file, n), what)
			return
		}
		seen := make(map[string]int)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if first, duplicate := seen[key.Value]; duplicate {
				full := strings.TrimPrefix(section+"."+key.Value, ".")
				y.fault(full, place(y.file, key), fmt.Sprintf("is already set in line %d", first))
				continue
			}
			seen[key.Value] = key.Line
			if !yield(key, n.Content[i+1]) {
				return
			}
		}
	}
}

// value reads a scalar, or a list of them. A setting without a value is an empty
// one: valid where the setting may be empty.
func (y yamlReader) value(full, where string, n *yaml.Node) (value, bool) {
	n = resolve(n)
	if n.Kind != yaml.SequenceNode {
		return y.scalar(full, where, n)
	}
	all := value{list: true, where: where}
	ok := true
	for _, entry := range n.Content {
		v, good := y.scalar(full, place(y.file, entry), resolve(entry))
		ok = ok && good
		all.items = append(all.items, v)
	}
	return all, ok
}

func (y yamlReader) scalar(full, where string, n *yaml.Node) (value, bool) {
	if n.Kind != yaml.ScalarNode {
		y.fault(full, where, "must be "+y.settings[full].rule)
		return value{}, false
	}
	if isNull(n) {
		return value{where: where}, true
	}
	if !ordinaryTag(n) {
		y.fault(full, where, "has a YAML tag that is not supported")
		return value{}, false
	}
	text, problem := y.interpolate(n.Value)
	if problem != "" {
		y.fault(full, where, problem)
		return value{}, false
	}
	return value{text: text, where: where}, true
}

// interpolate replaces ${ENV:NAME} in the text of one value. It runs after
// parsing, and once, so a variable's content is never read as YAML or as
// another reference.
func (y yamlReader) interpolate(s string) (text, problem string) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "${ENV:")
		out.WriteString(before)
		if !found {
			return out.String(), ""
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || !variableName(name) {
			return "", "has a ${ENV:...} without the name of a variable in it"
		}
		content, ok := y.env[name]
		if !ok {
			return "", "needs the environment variable " + name + ", which is not set"
		}
		out.WriteString(content)
		s = after
	}
}

func variableName(s string) bool {
	return s != "" && !digits(s[:1]) && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// resolve follows an alias. One step is enough: an alias names a real node.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func ordinaryTag(n *yaml.Node) bool {
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!merge":
		return true
	}
	return false
}

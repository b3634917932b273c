package config

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A kind of key is a function that makes one. Each understands the text of a
// value itself, the same from YAML and from the environment: YAML's own idea
// of types would turn the password 0123 into 83.

func text(name string, field func(*Config) *string, rule string, ok func(string) bool, doc string) key {
	return key{
		name: name, rule: rule, doc: doc,
		set: scalar(func(c *Config, s string) bool {
			if !ok(s) {
				return false
			}
			*field(c) = s
			return true
		}),
		show: func(c Config) any { return *field(&c) },
	}
}

func secret(name string, field func(*Config) *Secret, rule string, ok func(string) bool, show func(string) string, doc string) key {
	return key{
		name: name, rule: rule, doc: doc, secret: true,
		set: scalar(func(c *Config, s string) bool {
			if !ok(s) {
				return false
			}
			*field(c) = Secret(s)
			return true
		}),
		show: func(c Config) any { return show(string(*field(&c))) },
	}
}

// number takes decimal digits only: 0x10 and 1_000 would be read differently
// by different readers, and 010 was 8 to the original.
func number(name string, field func(*Config) *int, least, most int, doc string) key {
	return key{
		name: name, doc: doc,
		rule: "a whole number from " + strconv.Itoa(least) + " to " + strconv.Itoa(most),
		set: scalar(func(c *Config, s string) bool {
			n, err := strconv.Atoi(s)
			if err != nil || strconv.Itoa(n) != s || n < least || n > most {
				return false
			}
			*field(c) = n
			return true
		}),
		show: func(c Config) any { return *field(&c) },
	}
}

// toggle takes the words that the original took.
func toggle(name string, field func(*Config) *bool, doc string) key {
	return key{
		name: name, rule: "true or false", doc: doc,
		set: scalar(func(c *Config, s string) bool {
			switch strings.ToLower(s) {
			case "true", "yes", "on", "y", "t", "1":
				*field(c) = true
			case "false", "no", "off", "n", "f", "0":
				*field(c) = false
			default:
				return false
			}
			return true
		}),
		show: func(c Config) any { return *field(&c) },
	}
}

// list takes a YAML list, or text with commas.
func list(name string, field func(*Config) *[]string, rule string, ok func(string) bool, doc string) key {
	return key{
		name: name, rule: rule, doc: doc,
		set: func(c *Config, v value) (bad []string) {
			all := []string{}
			for _, entry := range entries(v) {
				if sound := isText(entry.text) && ok(entry.text); !sound && !slices.Contains(bad, entry.where) {
					bad = append(bad, entry.where)
				}
				all = append(all, entry.text)
			}
			if len(bad) == 0 {
				*field(c) = all
			}
			return bad
		},
		show: func(c Config) any { return append([]string{}, *field(&c)...) },
	}
}

func entries(v value) []value {
	if v.list || v.text == "" {
		return v.items
	}
	var all []value
	for part := range strings.SplitSeq(v.text, ",") {
		all = append(all, value{text: strings.TrimSpace(part), where: v.where})
	}
	return all
}

// scalar makes the set of a key that is one text, from what takes the text.
func scalar(take func(*Config, string) bool) func(*Config, value) []string {
	return func(c *Config, v value) []string {
		if v.list || !isText(v.text) || !take(c, v.text) {
			return []string{v.where}
		}
		return nil
	}
}

// isText keeps out what no key may hold: a path, a header and a database all
// end a text at NUL, each in its own way.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func oneOf(words []string) string { return "one of " + strings.Join(words, ", ") }

func among(words []string) func(string) bool {
	return func(s string) bool { return slices.Contains(words, s) }
}

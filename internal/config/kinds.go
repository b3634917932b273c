package config

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A kind of setting is a function that makes one. Each parses the text of a value
// itself, the same from YAML and from the environment: YAML's own idea
// of types would turn the password 0123 into 83.

func text(name string, field func(*Config) *string, rule string, ok func(string) bool, doc string) setting {
	return setting{
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

func secret(name string, field func(*Config) *Secret, rule string, ok func(string) bool, show func(string) string, doc string) setting {
	return setting{
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
func number(name string, field func(*Config) *int, least, most int, doc string) setting {
	return setting{
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

// choice takes one of a few numbers.
func choice(name string, field func(*Config) *int, among []int, doc string) setting {
	words := make([]string, len(among))
	for i, n := range among {
		words[i] = strconv.Itoa(n)
	}
	return setting{
		name: name, doc: doc, rule: oneOf(words),
		set: scalar(func(c *Config, s string) bool {
			i := slices.Index(words, s)
			if i >= 0 {
				*field(c) = among[i]
			}
			return i >= 0
		}),
		show: func(c Config) any { return *field(&c) },
	}
}

// period takes a duration of a second or more as Go writes it, or in days, such as 90d.
func period(name string, field func(*Config) *time.Duration, most time.Duration, orOff bool, doc string) setting {
	const least = time.Second
	rule := "a duration from " + showPeriod(least) + " to " + showPeriod(most) + ", such as 90s, 5m, 720h or 90d"
	if orOff {
		rule += ", or 0"
	}
	return setting{
		name: name, doc: doc, rule: rule,
		set: scalar(func(c *Config, s string) bool {
			d, ok := parsePeriod(s)
			if !ok || d < least && (d != 0 || !orOff) || d > most {
				return false
			}
			*field(c) = d
			return true
		}),
		show: func(c Config) any { return showPeriod(*field(&c)) },
	}
}

const day = 24 * time.Hour

func parsePeriod(s string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * day, err == nil && strconv.Itoa(n) == days && n >= 0 && n <= 36_500
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}

// showPeriod formats a duration as the configuration writes it.
func showPeriod(d time.Duration) string {
	if d > 0 && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	text := d.String()
	if d >= time.Minute && strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if d >= time.Hour && strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	if d == 0 {
		return "0"
	}
	return text
}

// toggle accepts the words that the original accepts.
func toggle(name string, field func(*Config) *bool, doc string) setting {
	return setting{
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
func list(name string, field func(*Config) *[]string, rule string, ok func(string) bool, doc string) setting {
	return setting{
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

// scalar makes the set function of a setting that is a single text.
func scalar(take func(*Config, string) bool) func(*Config, value) []string {
	return func(c *Config, v value) []string {
		if v.list || !isText(v.text) || !take(c, v.text) {
			return []string{v.where}
		}
		return nil
	}
}

// isText refuses what no setting may hold: paths, headers and databases all treat
// NUL as the end of a text, each in its own way.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func oneOf(words []string) string { return "one of " + strings.Join(words, ", ") }

func among(words []string) func(string) bool {
	return func(s string) bool { return slices.Contains(words, s) }
}

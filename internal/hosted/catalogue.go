package hosted

import (
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// localeFiles is one file a language, named by its tag: an object from key to text.
// The verbs of a text are those of fmt. A new language needs only a new file.
//
//go:embed locales
var localeFiles embed.FS

// fallback is the language of users whose languages are unknown.
const fallback = "en"

// catalogue holds the texts of all languages.
type catalogue struct {
	languages []*locale // the fallback first
	matcher   language.Matcher
}

// locale is the texts of one language.
type locale struct {
	Tag   string // BCP 47, for the attribute lang
	texts map[string]string
}

func loadCatalogue() *catalogue {
	names, err := fs.Glob(localeFiles, "locales/*.json")
	if err != nil {
		panic(err) // the pattern is constant
	}
	c := &catalogue{}
	for _, name := range names {
		content, err := localeFiles.ReadFile(name)
		if err != nil {
			panic(err) // embedded
		}
		l := &locale{Tag: strings.TrimSuffix(path.Base(name), ".json")}
		if err := json.Unmarshal(content, &l.texts); err != nil {
			panic("hosted: " + name + ": " + err.Error())
		}
		c.languages = append(c.languages, l)
	}
	slices.SortStableFunc(c.languages, func(a, b *locale) int {
		return cmp.Or(preferred(b)-preferred(a), cmp.Compare(a.Tag, b.Tag))
	})
	var tags []language.Tag
	for _, l := range c.languages {
		tags = append(tags, language.MustParse(l.Tag))
	}
	c.matcher = language.NewMatcher(tags)
	return c
}

func preferred(l *locale) int {
	if l.Tag == fallback {
		return 1
	}
	return 0
}

// choose returns the language for ui_locales, a list of tags separated by spaces
// (OpenID Connect Core, section 3.1.2.1), else for the header Accept-Language.
func (c *catalogue) choose(uiLocales, acceptLanguage string) *locale {
	var wanted []language.Tag
	for tag := range strings.FieldsSeq(uiLocales) {
		if t, err := language.Parse(tag); err == nil {
			wanted = append(wanted, t)
		}
	}
	if _, i, confidence := c.matcher.Match(wanted...); len(wanted) > 0 && confidence > language.No {
		return c.languages[i]
	}
	accepted, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil {
		return c.languages[0]
	}
	_, i, _ := c.matcher.Match(accepted...)
	return c.languages[i]
}

// Locales lists the languages of the pages, as discovery's ui_locales_supported does.
func Locales() (tags []string) {
	entries, err := localeFiles.ReadDir("locales")
	if err != nil {
		panic(err) // embedded
	}
	for _, e := range entries {
		tags = append(tags, strings.TrimSuffix(e.Name(), ".json"))
	}
	return tags
}

// text returns the text of a key. A test makes sure that no page asks for another one.
func (l *locale) text(key string, values ...any) string {
	text, found := l.texts[key]
	if !found {
		return key
	}
	if len(values) == 0 {
		return text
	}
	return fmt.Sprintf(text, values...)
}

// textOr returns the text of a key, or other if there is none.
func (l *locale) textOr(key, other string) string {
	if text, found := l.texts[key]; found {
		return text
	}
	return other
}

// ago says how long before now a time was, in the largest whole unit.
func (l *locale) ago(now, at time.Time) string {
	switch d := now.Sub(at); {
	case d < time.Minute:
		return l.text("ago.now")
	case d < time.Hour:
		return l.count("ago.minutes", int(d/time.Minute))
	case d < 24*time.Hour:
		return l.count("ago.hours", int(d/time.Hour))
	default:
		return l.count("ago.days", int(d/(24*time.Hour)))
	}
}

// wait says how long to wait, at least a second: rounded up, in seconds below
// two minutes, in minutes up to two hours, else in hours.
func (l *locale) wait(d time.Duration) string {
	switch seconds := inSeconds(d); {
	case seconds < 120:
		return l.count("wait.seconds", seconds)
	case seconds <= 2*60*60:
		return l.text("wait.minutes", (seconds+59)/60)
	default:
		return l.text("wait.hours", (seconds+3599)/3600)
	}
}

func (l *locale) count(key string, n int) string {
	if n == 1 {
		return l.text(key + ".one")
	}
	return l.text(key+".other", n)
}

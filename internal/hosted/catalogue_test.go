package hosted

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var verb = regexp.MustCompile(`%(\[\d+\])?[a-z]`)

func TestEveryLanguageHasEveryText(t *testing.T) {
	c := loadCatalogue()
	if !slices.Equal(Locales(), []string{"en", "es"}) || len(c.languages) != 2 {
		t.Errorf("languages %v", Locales())
	}
	english := c.languages[0]
	for _, l := range c.languages[1:] {
		for key, text := range english.texts {
			other, found := l.texts[key]
			switch {
			case !found:
				t.Errorf("%s lacks %s", l.Tag, key)
			case !slices.Equal(slices.Sorted(slices.Values(verb.FindAllString(text, -1))), slices.Sorted(slices.Values(verb.FindAllString(other, -1)))):
				t.Errorf("%s: %s has other values than in English", l.Tag, key)
			case other == text && strings.Contains(text, " ") && len(text) > 20:
				t.Errorf("%s: %s is not translated", l.Tag, key)
			}
		}
		for key := range l.texts {
			if _, found := english.texts[key]; !found {
				t.Errorf("%s has %s, which English lacks", l.Tag, key)
			}
		}
	}
}

// A key is written as a constant in a template or in Go, or is made of the constant
// prefixes below.
func TestEveryTextIsUsed(t *testing.T) {
	var all strings.Builder
	for _, s := range ownSources(t) {
		all.WriteString(s)
	}
	made := []string{"scope.", "field.", "fault.", "ago.", "wait.", "error.", "device.done.", "device.denied.", "not_found."}
	for _, key := range slices.Sorted(maps.Keys(loadCatalogue().languages[0].texts)) {
		if strings.HasSuffix(key, ".title") || slices.ContainsFunc(made, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
			continue
		}
		if !strings.Contains(all.String(), `"`+key+`"`) {
			t.Errorf("%s is not used", key)
		}
	}
}

func TestEveryTextThatIsUsedExists(t *testing.T) {
	texts := loadCatalogue().languages[0].texts
	asked := regexp.MustCompile(`(?:\.T|\.text|\.maybe) \(?"([a-z_.]+)"|(?:\.text|\.maybe|\.T)\("([a-z_.]+)"`)
	for name, source := range ownSources(t) {
		for _, m := range asked.FindAllStringSubmatch(source, -1) {
			if key := m[1] + m[2]; !strings.HasSuffix(key, ".") && texts[key] == "" {
				t.Errorf("%s asks for %s", name, key)
			}
		}
	}
}

func TestLanguageFollowsTheRequestThenTheBrowser(t *testing.T) {
	c := loadCatalogue()
	for _, test := range []struct{ locales, accept, want string }{
		{"", "", "en"},
		{"", "es", "es"},
		{"", "es-MX,es;q=0.9,en;q=0.8", "es"},
		{"", "en;q=0.5, es;q=0.9", "es"},
		{"", "fr-CH, fr;q=0.9, es;q=0.8, en;q=0.7", "es"},
		{"", "fr", "en"},
		{"", "not a header;;;", "en"},
		{"es", "en", "es"},
		{"fr-CA es en", "en", "es"},
		{"fr", "es", "es"},
		{"tlh-x-??", "es", "es"},
		{"es-419", "", "es"},
	} {
		if got := c.choose(test.locales, test.accept).Tag; got != test.want {
			t.Errorf("ui_locales %q, Accept-Language %q: %s, want %s", test.locales, test.accept, got, test.want)
		}
	}
}

func TestTimesAreInWholeUnits(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	english, spanish := loadCatalogue().choose("en", ""), loadCatalogue().choose("es", "")
	for d, want := range map[time.Duration]string{
		-time.Minute: "just now", 59 * time.Second: "just now", time.Minute: "1 minute ago", 59 * time.Minute: "59 minutes ago",
		time.Hour: "1 hour ago", 24 * time.Hour: "yesterday", 100 * 24 * time.Hour: "100 days ago",
	} {
		if got := english.ago(now, now.Add(-d)); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	if got := spanish.ago(now, now.Add(-2*time.Hour)); got != "hace 2 horas" {
		t.Errorf("in Spanish %q", got)
	}
	for d, want := range map[time.Duration]string{
		0: "1 segundo", time.Second: "1 segundo", 1001 * time.Millisecond: "2 segundos", 119 * time.Second: "119 segundos",
		2 * time.Minute: "2 minutos", 121 * time.Second: "3 minutos", 2 * time.Hour: "120 minutos", 2*time.Hour + 1: "3 horas", 24 * time.Hour: "24 horas",
	} {
		if got := spanish.wait(d); got != want {
			t.Errorf("a wait of %s: %q, want %q", d, got, want)
		}
	}
}

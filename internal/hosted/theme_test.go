package hosted

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// WCAG 2.2, 1.4.3: whatever color an operator chooses, text can be read on it and in it.
func TestAccentIsReadableInLightAndDark(t *testing.T) {
	value := regexp.MustCompile(`--([a-z-]+):(#[0-9a-f]{6})([;}])`)
	rapid.Check(t, func(t *rapid.T) {
		accent := color{rapid.Byte().Draw(t, "r"), rapid.Byte().Draw(t, "g"), rapid.Byte().Draw(t, "b")}
		light, dark, found := strings.Cut(accents(accent.String()), "@media")
		if !found {
			t.Fatal("no rule for dark")
		}
		for scheme, css := range map[string]string{"light": light, "dark": dark} {
			colors := map[string]color{}
			for _, m := range value.FindAllStringSubmatch(css, -1) {
				colors[m[1]], _ = parseColor(m[2])
			}
			on := map[string][]color{"light": {lightCard, lightPage}, "dark": {darkCard}}[scheme]
			for _, background := range on {
				for _, link := range []string{"link", "link-hover"} {
					if c := colors[link].contrast(background); c < readable {
						t.Errorf("%s, %s: contrast %.2f of %s", accent, scheme, c, link)
					}
				}
			}
			for _, button := range []string{"accent", "accent-hover"} {
				if c := colors["on-accent"].contrast(colors[button]); c < readable {
					t.Errorf("%s, %s: contrast %.2f of text on %s", accent, scheme, c, button)
				}
			}
			if scheme == "dark" && colors["accent"].contrast(darkCard) < visible {
				t.Errorf("%s: the button is not visible in dark", accent)
			}
		}
	})
}

func TestInvalidAccentIsOurs(t *testing.T) {
	for _, accent := range []string{"", "red", "#12", "#gggggg", "}body{display:none"} {
		if accents(accent) != accents(defaultAccent) {
			t.Errorf("%q is in the style sheet", accent)
		}
	}
}

package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/config"
)

func TestThemeIsReadAtTheStart(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.Repeat("x", size)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	logo, sheet := write("logo.svg", 10), write("extra.css", 20)
	theme, err := readTheme(config.Pages{Name: "Northwind", Logo: logo, StyleSheet: sheet, Accent: "#0b7a4b", Links: []string{"Terms of service https://example.com/terms"}})
	if err != nil {
		t.Fatal(err)
	}
	if theme.Name != "Northwind" || theme.Logo.Media != "image/svg+xml" || len(theme.Logo.Content) != 10 || len(theme.StyleSheet) != 20 ||
		theme.Accent != "#0b7a4b" || theme.Links[0].Text != "Terms of service" || theme.Links[0].URL != "https://example.com/terms" {
		t.Errorf("%+v", theme)
	}
	for setting, c := range map[string]config.Pages{
		"pages.logo: " + dir:        {Logo: write("logo.gif", 1)},
		"pages.logo: stat ":         {Logo: filepath.Join(dir, "absent.png")},
		"pages.style_sheet: " + dir: {StyleSheet: write("large.css", maxThemeFile+1)},
		"pages.style_sheet: stat ":  {StyleSheet: filepath.Join(dir, "absent.css")},
	} {
		if _, err := readTheme(c); err == nil || !strings.HasPrefix(err.Error(), setting) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

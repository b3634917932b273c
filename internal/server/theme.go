package server

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/hosted"
)

// maxThemeFile is the size of the largest file of a theme.
const maxThemeFile = 256 << 10

// readTheme reads the files of the section pages.
func readTheme(c config.Pages) (hosted.Theme, error) {
	theme := hosted.Theme{Name: c.Name, Accent: c.Accent}
	for _, link := range c.Links {
		text, address := config.NamedLink(link)
		theme.Links = append(theme.Links, hosted.Link{Text: text, URL: address})
	}
	if c.Logo != "" {
		media := map[string]string{".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp"}[filepath.Ext(c.Logo)]
		if media == "" {
			return hosted.Theme{}, fmt.Errorf("pages.logo: %s must end in .svg, .png or .webp", c.Logo)
		}
		content, err := readThemeFile("pages.logo", c.Logo)
		if err != nil {
			return hosted.Theme{}, err
		}
		theme.Logo = hosted.Image{Media: media, Content: content}
	}
	if c.StyleSheet != "" {
		content, err := readThemeFile("pages.style_sheet", c.StyleSheet)
		if err != nil {
			return hosted.Theme{}, err
		}
		theme.StyleSheet = content
	}
	return theme, nil
}

func readThemeFile(setting, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxThemeFile {
		return nil, fmt.Errorf("%s: %s must be a file of at most %d KiB", setting, path, maxThemeFile>>10)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return content, nil
}

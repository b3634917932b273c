package hosted

import (
	"fmt"
	"math"
	"strconv"
)

// Theme is the look of the pages, as an operator sets it. The zero value is valid.
type Theme struct {
	Name       string // of the service; empty: "Pico Auth"
	Logo       Image  // zero: our mark
	Accent     string // of buttons and links, #rrggbb; empty: our blue
	StyleSheet []byte // that follows ours
	Links      []Link // at the bottom of every page
}

// Image is an image file in memory.
type Image struct {
	Media   string // such as image/svg+xml
	Content []byte
}

// Link is a link to another site.
type Link struct{ Text, URL string }

const (
	defaultName   = "Pico Auth"
	defaultAccent = "#2f5bea"
)

// The backgrounds of cards, that links are on.
var (
	lightCard = color{255, 255, 255}
	lightPage = color{245, 246, 248}
	darkCard  = color{23, 27, 34}
	black     = color{0, 0, 0}
	white     = color{255, 255, 255}
)

// readable is the contrast of text that WCAG 2.2 asks for (1.4.3), visible that of
// other things (1.4.11).
const (
	readable = 4.5
	visible  = 3
)

// color is a color in sRGB.
type color [3]uint8

func parseColor(s string) (c color, ok bool) {
	if len(s) != 7 || s[0] != '#' {
		return c, false
	}
	n, err := strconv.ParseUint(s[1:], 16, 32)
	return color{uint8(n >> 16 & 0xff), uint8(n >> 8 & 0xff), uint8(n & 0xff)}, err == nil
}

func (c color) String() string { return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2]) }

// luminance is the relative luminance of WCAG 2.2.
func (c color) luminance() float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c[0]) + 0.7152*linear(c[1]) + 0.0722*linear(c[2])
}

// contrast is the contrast ratio of WCAG 2.2, from 1 to 21.
func (c color) contrast(other color) float64 {
	a, b := c.luminance(), other.luminance()
	return (max(a, b) + 0.05) / (min(a, b) + 0.05)
}

// mix moves c by that part of the way to other.
func (c color) mix(other color, part float64) (m color) {
	for i := range c {
		m[i] = uint8(math.Round(float64(c[i]) + (float64(other[i])-float64(c[i]))*part))
	}
	return m
}

// toward moves c to other until its contrast to all backgrounds is at least least.
func (c color) toward(other color, least float64, backgrounds ...color) color {
	for step := range 20 {
		m := c.mix(other, float64(step)/20)
		enough := true
		for _, b := range backgrounds {
			enough = enough && m.contrast(b) >= least
		}
		if enough {
			return m
		}
	}
	return other
}

// on is the color of text on c.
func (c color) on() color {
	if c.contrast(white) >= readable {
		return white
	}
	return black
}

// accents is the rule that gives the accent color to our style sheet: as it is for
// buttons, and darker or lighter for links, so that they can be read.
func accents(accent string) string {
	c, ok := parseColor(accent)
	if !ok {
		c, _ = parseColor(defaultAccent)
	}
	light := shades(c, c.toward(black, readable, lightCard, lightPage), black)
	button := c
	if c.contrast(darkCard) < visible {
		button = c.toward(white, visible, darkCard)
	}
	dark := shades(button, c.toward(white, readable, darkCard), white)
	return ":root{" + light + "}\n@media (prefers-color-scheme:dark){:root{" + dark + "}}\n"
}

func shades(button, link, strong color) string {
	hover := button.mix(strong, 0.12)
	if hover.on() != button.on() {
		hover = button
	}
	return fmt.Sprintf("--accent:%s;--accent-hover:%s;--on-accent:%s;--link:%s;--link-hover:%s;--ring:%s66;--tint:%[4]s14",
		button, hover, button.on(), link, link.mix(strong, 0.2), link)
}

package report

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Chart is a picture of some of the result: bars, or lines over time.
type Chart struct {
	Name  string `json:"name"` // of its scenario, and in that of the file
	Title string `json:"title"`
	Unit  string `json:"unit"` // of the values, shown below the title
	Bars  []Bar  `json:"bars,omitempty"`
	Lines []Line `json:"lines,omitempty"`
}

// Bar is one value with its spread and its aim.
type Bar struct {
	Label string  `json:"label"`
	Value float64 `json:"value"`
	Least float64 `json:"least,omitempty"` // of the rounds; 0 with Most: no spread is drawn
	Most  float64 `json:"most,omitempty"`
	Aim   float64 `json:"aim,omitempty"` // 0: none
}

// Line is a value over time, drawn in a strip of its own.
type Line struct {
	Label string    `json:"label"`
	Unit  string    `json:"unit"`
	X     []float64 `json:"x"` // minutes
	Y     []float64 `json:"y"`
}

// style reads well on white and on black.
const style = `<style>
text{font:13px system-ui,sans-serif;fill:#1f2933}.t{font-weight:600;font-size:15px}.s{fill:#667380;font-size:12px}
.b{fill:#3b82c4}.w{stroke:#1f2933;stroke-width:1.5}.a{stroke:#c2410c;stroke-width:2.5}.g{stroke:#9aa5b1;stroke-width:.5}.l{fill:none;stroke:#3b82c4;stroke-width:1.5}
@media(prefers-color-scheme:dark){text{fill:#e4e7eb}.s{fill:#9aa5b1}.b{fill:#4f9be0}.w{stroke:#e4e7eb}.a{stroke:#fb923c}.g{stroke:#52606d}.l{stroke:#4f9be0}}
</style>`

const (
	width  = 720
	left   = 250 // where bars and lines begin
	right  = 80  // for the numbers behind them
	bar    = 26  // height of a bar with its gap
	strip  = 90  // height of a line's strip
	header = 56
)

// SVG draws the chart. It holds no script and loads nothing.
func (c Chart) SVG() string {
	var b strings.Builder
	height := header + bar*len(c.Bars) + strip*len(c.Lines) + 14
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`,
		width, height, width, height, html.EscapeString(c.Title))
	b.WriteString("\n" + style + "\n")
	label(&b, "t", 12, 22, "start", c.Title)
	label(&b, "s", 12, 42, "start", c.Unit)
	c.bars(&b)
	for i, line := range c.Lines {
		line.draw(&b, header+strip*i)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func label(b *strings.Builder, class string, x, y float64, anchor, text string) {
	fmt.Fprintf(b, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(text))
}

func (c Chart) bars(b *strings.Builder) {
	most := 0.0
	for _, v := range c.Bars {
		most = max(most, v.Value, v.Most, v.Aim)
	}
	if most == 0 {
		return
	}
	x := func(v float64) float64 { return left + v/most*(width-left-right) }
	for i, v := range c.Bars {
		top := float64(header + bar*i)
		middle := top + bar/2 - 3
		label(b, "", left-8, middle+4, "end", v.Label)
		fmt.Fprintf(b, `<rect class="b" x="%d" y="%.1f" width="%.1f" height="%d" rx="2"/>`+"\n", left, top, x(v.Value)-left, bar-8)
		if v.Most > 0 {
			fmt.Fprintf(b, `<path class="w" d="M%.1f %.1fH%.1f"/>`+"\n", x(v.Least), middle+1, x(v.Most))
		}
		if v.Aim > 0 {
			fmt.Fprintf(b, `<path class="a" d="M%.1f %.1fv%d"/>`+"\n", x(v.Aim), top-2, bar-4)
		}
		label(b, "s", x(max(v.Value, v.Most, v.Aim))+8, middle+4, "start", number(v.Value))
	}
}

// draw puts the line into a strip that begins at zero, so that what is flat
// looks flat.
func (l Line) draw(b *strings.Builder, top int) {
	if len(l.X) == 0 || len(l.X) != len(l.Y) {
		return
	}
	base, height := float64(top+strip-18), float64(strip-30)
	most, end := 1e-9, math.Max(l.X[len(l.X)-1], 1e-9)
	for _, v := range l.Y {
		most = max(most, v)
	}
	label(b, "", left-8, base-height/2, "end", l.Label)
	label(b, "s", left-8, base-height/2+16, "end", l.Unit)
	fmt.Fprintf(b, `<path class="g" d="M%d %.1fH%dM%d %.1fH%d"/>`+"\n", left, base, width-right, left, base-height, width-right)
	label(b, "s", width-right+8, base-height+4, "start", number(most))
	label(b, "s", width-right+8, base+4, "start", fmt.Sprintf("0, %s min", number(end)))
	b.WriteString(`<path class="l" d="`)
	for i := range l.X {
		fmt.Fprintf(b, "%c%.1f %.1f", "ML"[min(i, 1)], left+l.X[i]/end*float64(width-left-right), base-l.Y[i]/most*height)
	}
	b.WriteString(`"/>` + "\n")
}

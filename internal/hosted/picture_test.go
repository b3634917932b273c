package hosted

import (
	"bytes"
	"cmp"
	"image"
	colors "image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestPictureForTheReadme writes the pages on which a user signs in and allows a client,
// side by side, light and dark, into the folder PICTURES.
func TestPictureForTheReadme(t *testing.T) {
	folder := os.Getenv("PICTURES")
	if folder == "" {
		t.Skip("PICTURES is not set; make pictures sets it")
	}
	all := samples(time.Now())
	short := all["consent"]
	view := short.view.(consentView)
	view.Scopes, view.Lasts, view.Client.Policy, view.Client.Terms = view.Scopes[:2], loadCatalogue().choose("", "").lasts(nil), "", ""
	short.view = view
	all["consent"] = short
	base := sampleServer(t, all)
	for scheme, dark := range map[string]bool{"light": false, "dark": true} {
		ctx := chromium(t, 480, dark)
		var sides []image.Image
		for _, name := range []string{"sign-in", "consent"} {
			err := chromedp.Do(ctx, chromedp.EmulateViewport(480, 780, chromedp.EmulateScale(1.5)), chromedp.Navigate(base+name),
				chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
			if err != nil {
				t.Fatal(name, err)
			}
			shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
			if err != nil {
				t.Fatal(name, err)
			}
			side, err := png.Decode(bytes.NewReader(shot))
			if err != nil {
				t.Fatal(name, err)
			}
			sides = append(sides, side)
		}
		if err := os.WriteFile(filepath.Join(folder, "sign-in-"+scheme+".png"), small(t, beside(sides)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// beside returns the pictures in a row, without the empty space above.
func beside(sides []image.Image) *image.RGBA {
	const above = 70
	size := sides[0].Bounds().Size()
	row := image.NewRGBA(image.Rect(0, 0, size.X*len(sides), size.Y-above))
	for i, side := range sides {
		draw.Draw(row, image.Rect(i*size.X, 0, (i+1)*size.X, size.Y), side, image.Pt(0, above), draw.Src)
	}
	return row
}

// small encodes a picture of a page with the 64 colors that it has most of, which is a
// third of the size: pages have few colors, and the others are edges of letters.
func small(t *testing.T, picture *image.RGBA) []byte {
	t.Helper()
	count := map[colors.RGBA]int{}
	for y := range picture.Rect.Dy() {
		for x := range picture.Rect.Dx() {
			count[picture.RGBAAt(x, y)]++
		}
	}
	most := slices.SortedFunc(maps.Keys(count), func(a, b colors.RGBA) int {
		return cmp.Or(count[b]-count[a], int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B))
	})
	var palette colors.Palette
	for _, c := range most[:min(64, len(most))] {
		palette = append(palette, c)
	}
	paletted := image.NewPaletted(picture.Rect, palette)
	draw.Draw(paletted, picture.Rect, picture, image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, paletted); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

package hosted

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"

	"github.com/pico-auth/pico-auth/internal/web"
)

// assetFiles has Pico.css 2.1.1 of the npm package @picocss/pico as published, its
// licence, and our own files.
//
//go:embed assets
var assetFiles embed.FS

// assets are the files that pages load. Their addresses change with their content,
// so that browsers keep them.
type assets struct {
	files map[string]web.Compressible // by name
	urls  map[string]string
}

// forever lets a browser keep a file under its address.
var forever = []string{"public, max-age=31536000, immutable"}

func newAssets(base string, theme Theme) *assets {
	a := &assets{files: map[string]web.Compressible{}, urls: map[string]string{}}
	sheet := [][]byte{asset("pico.min.css"), []byte("\n" + accents(theme.Accent)), asset("pages.css"), theme.StyleSheet}
	a.add(base, "pages.css", "text/css; charset=utf-8", join(sheet))
	a.add(base, "form-post.js", "text/javascript; charset=utf-8", asset("form-post.js"))
	a.add(base, "signed-out.js", "text/javascript; charset=utf-8", asset("signed-out.js"))
	a.add(base, "pico.LICENSE.md", "text/plain; charset=utf-8", asset("pico.LICENSE.md"))
	icon := strings.ReplaceAll(string(asset("mark.svg")), "currentColor", accentOf(theme))
	a.add(base, "mark.svg", "image/svg+xml", []byte(icon))
	if theme.Logo.Content != nil {
		a.add(base, "logo", theme.Logo.Media, theme.Logo.Content)
	}
	return a
}

func accentOf(theme Theme) string {
	if _, ok := parseColor(theme.Accent); ok {
		return theme.Accent
	}
	return defaultAccent
}

func (a *assets) add(base, name, media string, content []byte) {
	digest := sha256.Sum256(content)
	a.files[name] = web.NewCompressible(media, content)
	a.urls[name] = base + "/assets/" + name + "?v=" + hex.EncodeToString(digest[:6])
}

// icon is the name of the image for the browser's tab.
func (a *assets) icon() string {
	if url := a.urls["logo"]; url != "" {
		return url
	}
	return a.urls["mark.svg"]
}

func (p *Pages) serveAsset(w http.ResponseWriter, r *http.Request) {
	file, found := p.assets().files[r.PathValue("file")]
	if !found {
		p.refuse(w, r, web.ErrNotFound)
		return
	}
	file.Serve(w, r, forever)
}

func asset(name string) []byte {
	content, err := assetFiles.ReadFile(path.Join("assets", name))
	if err != nil {
		panic(err) // embedded
	}
	return content
}

func join(parts [][]byte) (all []byte) {
	for _, part := range parts {
		all = append(append(all, part...), '\n')
	}
	return all
}

package web

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
)

// Document is a response that is prepared once and served from memory. Its headers
// have the form of the values of http.Header.
type Document struct {
	body                []byte
	etag                string
	media, tags, length []string
}

// NewDocument returns the document of the media type.
func NewDocument(media string, body []byte) Document {
	digest := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(digest[:16]) + `"`
	return Document{
		body: body, etag: etag,
		media: []string{media}, tags: []string{etag}, length: []string{strconv.Itoa(len(body))},
	}
}

// ownLength is the size up to which net/http sets Content-Length itself. Setting it
// here as a ninth header would make the header map grow, which is a tenth of the
// cost of the key set.
const ownLength = 2048

// Serve responds to a GET or HEAD, with 304 if the client has the document.
func (d Document) Serve(w http.ResponseWriter, r *http.Request, cacheControl []string) {
	h := w.Header()
	h["Cache-Control"] = cacheControl
	h["Etag"] = d.tags
	if hasETag(r.Header["If-None-Match"], d.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Type"] = d.media
	if len(d.body) > ownLength {
		h["Content-Length"] = d.length
	}
	_, _ = w.Write(d.body) // the client may have disconnected; for HEAD nothing is sent
}

// ServeTagged responds to a GET or HEAD with the parts one after another, or with
// 304 if the client has the document. The tag is weak: other bytes may say the same.
func ServeTagged(w http.ResponseWriter, r *http.Request, media, tag string, cacheControl []string, parts ...[]byte) {
	h := w.Header()
	h["Cache-Control"] = cacheControl
	h["Etag"] = []string{`W/"` + tag + `"`}
	if hasETag(r.Header["If-None-Match"], `"`+tag+`"`) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	h["Content-Type"] = []string{media}
	h["Content-Length"] = []string{strconv.Itoa(length)}
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return // the client has disconnected
		}
	}
}

// hasETag reports whether an If-None-Match has the entity tag, with the weak
// comparison of RFC 9110, section 13.1.2: an intermediary that compresses the body
// weakens the tag.
func hasETag(values []string, etag string) bool {
	for _, value := range values {
		for candidate := range strings.SplitSeq(value, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == etag {
				return true
			}
		}
	}
	return false
}

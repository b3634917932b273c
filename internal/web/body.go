package web

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

// ReadBody reads the request's body, of at most limit bytes, which must be of
// the media type. Without required, an empty one needs no Content-Type.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64, media string, required bool) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, errTooLarge(limit)
	}
	// A body with another media type is not read.
	if required || r.ContentLength > 0 {
		if err := checkContentType(r.Header, media); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, errTooLarge(limit)
	}
	if err != nil {
		w.Header().Set("Connection", "close")
		return nil, &Error{http.StatusBadRequest, "incomplete_body", "the request body is incomplete"}
	}
	if len(data) > 0 && !required {
		return data, checkContentType(r.Header, media)
	}
	return data, nil
}

// checkContentType requires exactly one Content-Type with the media type and, if it
// has a charset, UTF-8, and no Content-Encoding.
func checkContentType(h http.Header, media string) error {
	if len(h["Content-Type"]) != 1 || len(h["Content-Encoding"]) != 0 {
		return errMediaType(media)
	}
	value := h["Content-Type"][0]
	if value == media {
		return nil
	}
	got, params, err := mime.ParseMediaType(value)
	if err != nil || got != media {
		return errMediaType(media)
	}
	for name, param := range params {
		if name != "charset" || !strings.EqualFold(param, "utf-8") {
			return errMediaType(media)
		}
	}
	return nil
}

package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Compressible is a Document that is also kept compressed, for clients that accept
// that. Each form of it is made at the first request: compressing it for each would
// let any client use all cores. It is for what everyone may read: the size of a
// compressed response tells what a secret in it has in common with the rest of it
// (BREACH).
type Compressible struct {
	plain, gzip func() Document // gzip is nil where compressing saves no packet
}

// onePacket is the size in bytes up to which a body and its header fit into a packet.
const onePacket = 1024

// NewCompressible returns the document of the media type.
func NewCompressible(media string, body []byte) Compressible {
	if len(body) <= onePacket {
		return Compressible{plain: sync.OnceValue(func() Document { return NewDocument(media, body) })}
	}
	return Compressible{
		plain: sync.OnceValue(func() Document { return NewDocument(media, body) }),
		gzip:  sync.OnceValue(func() Document { return NewDocument(media, compress(body)) }),
	}
}

// CompressedAlready returns the document whose body is compressed with gzip.
func CompressedAlready(media string, compressed []byte) Compressible {
	return Compressible{
		plain: sync.OnceValue(func() Document { return NewDocument(media, decompress(compressed)) }),
		gzip:  sync.OnceValue(func() Document { return NewDocument(media, compressed) }),
	}
}

// Serve responds to a GET or HEAD as Document.Serve does.
func (c Compressible) Serve(w http.ResponseWriter, r *http.Request, cacheControl []string) {
	if c.gzip == nil {
		c.plain().Serve(w, r, cacheControl)
		return
	}
	w.Header().Add("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header) {
		w.Header().Set("Content-Encoding", "gzip")
		c.gzip().Serve(w, r, cacheControl)
		return
	}
	c.plain().Serve(w, r, cacheControl)
}

func compress(data []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // a valid level
	_, _ = w.Write(data)
	_ = w.Close() // into memory
	return out.Bytes()
}

// acceptsGzip parses Accept-Encoding as far as browsers and tools use it.
func acceptsGzip(h http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(h["Accept-Encoding"], ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		name = strings.TrimSpace(name)
		if name != "gzip" && name != "*" {
			continue
		}
		_, q, weighted := strings.Cut(strings.TrimSpace(weight), "q=")
		value, err := strconv.ParseFloat(q, 64)
		return !weighted || (err == nil && value > 0)
	}
	return false
}

func decompress(data []byte) []byte {
	reader, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		panic(err) // embedded
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		panic(err)
	}
	return plain
}

//go:build linux

package deploy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// imageConfig is what an engine reads of an image to run it. The names are the same in
// both formats: the image specifications of OCI and of Docker.
type imageConfig struct {
	User         string
	ExposedPorts map[string]struct{}
	Env          []string
	Entrypoint   []string
	Cmd          []string
	Volumes      map[string]struct{}
	WorkingDir   string
	Labels       map[string]string
	Healthcheck  *healthcheck
}

type healthcheck struct {
	Test                           []string
	Interval, Timeout, StartPeriod time.Duration
}

// image is an archive in memory.
type image struct {
	config imageConfig
	layers [][]byte // tar, perhaps compressed
}

// readDocker reads the archive that docker save writes.
func readDocker(t *testing.T, path string) image {
	t.Helper()
	files := readArchive(t, path)
	var manifests []struct {
		Config string
		Layers []string
	}
	decode(t, files["manifest.json"], &manifests)
	if len(manifests) != 1 {
		t.Fatalf("%s has %d images", path, len(manifests))
	}
	var found image
	decode(t, files[manifests[0].Config], &struct{ Config *imageConfig }{&found.config})
	for _, layer := range manifests[0].Layers {
		found.layers = append(found.layers, files[layer])
	}
	return found
}

// readOCI reads an archive of an OCI image layout.
func readOCI(t *testing.T, path string) image {
	t.Helper()
	files := readArchive(t, path)
	type descriptor struct {
		Digest string
		Size   int
	}
	blob := func(d descriptor) []byte {
		name := "blobs/" + strings.Replace(d.Digest, ":", "/", 1)
		if len(files[name]) != d.Size || "sha256:"+digest(files[name]) != d.Digest {
			t.Fatalf("%s: %s is not what its descriptor says", path, name)
		}
		return files[name]
	}
	var index struct{ Manifests []descriptor }
	decode(t, files["index.json"], &index)
	if len(index.Manifests) != 1 {
		t.Fatalf("%s has %d images", path, len(index.Manifests))
	}
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	decode(t, blob(index.Manifests[0]), &manifest)
	var found image
	decode(t, blob(manifest.Config), &struct{ Config *imageConfig }{&found.config})
	for _, layer := range manifest.Layers {
		found.layers = append(found.layers, blob(layer))
	}
	return found
}

func readArchive(t *testing.T, path string) map[string][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(f); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[filepath.Clean(header.Name)], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// unpack writes the layers into a new folder, with their owners and modes, and returns
// it with the names of the files.
func (i image) unpack(t *testing.T) (dir string, files []string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, layer := range i.layers {
		var content io.Reader = bytes.NewReader(layer)
		if unzipped, err := gzip.NewReader(content); err == nil {
			content = unzipped
		} else {
			content = bytes.NewReader(layer)
		}
		for r := tar.NewReader(content); ; {
			header, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = write(filepath.Join(dir, header.Name), header, r)
			}
			if err != nil {
				t.Fatal(err)
			}
			if header.Typeflag == tar.TypeReg {
				files = append(files, header.Name)
			}
		}
	}
	return dir, files
}

func write(path string, header *tar.Header, content io.Reader) error {
	var err error
	switch header.Typeflag {
	case tar.TypeDir:
		err = os.MkdirAll(path, 0o755)
	case tar.TypeReg:
		var f *os.File
		if f, err = os.Create(path); err == nil {
			_, err = io.Copy(f, content)
			err = errors.Join(err, f.Close())
		}
	default:
		err = errors.New("neither a file nor a folder: " + header.Name)
	}
	if err == nil {
		err = os.Chown(path, header.Uid, header.Gid)
	}
	if err == nil {
		err = os.Chmod(path, header.FileInfo().Mode())
	}
	return err
}

func decode(t *testing.T, text []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
}

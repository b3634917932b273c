package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var at = time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)

// packed is a folder with programs of three platforms, and their archives.
func packed(t *testing.T) (dir string) {
	t.Helper()
	t.Chdir("../..")
	dir = t.TempDir()
	for _, name := range []string{"pico-auth-linux-amd64", "pico-auth-darwin-arm64", "pico-auth-windows-amd64.exe"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("program "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := pack(t.Context(), dir, "v1.2.3", []string{"linux/amd64", "darwin/arm64", "windows/amd64"}, at); err != nil {
		t.Fatal(err)
	}
	return dir
}

// unpack returns mode and content of the files of an archive, by name.
func unpack(t *testing.T, path string) map[string][2]string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][2]string{}
	add := func(name, mode string, modified time.Time, r io.Reader) {
		text, err := io.ReadAll(r)
		if err != nil || !modified.Equal(at) {
			t.Errorf("%s of %s: %v, time %s", name, path, err, modified)
		}
		files[name] = [2]string{mode, string(text)}
	}
	if strings.HasSuffix(path, ".zip") {
		archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			add(f.Name, f.Mode().String(), f.Modified, r)
		}
		return files
	}
	compressed, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(compressed)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Uname != "" {
			t.Errorf("%s has an owner: %+v", header.Name, header)
		}
		add(header.Name, header.FileInfo().Mode().String(), header.ModTime, archive)
	}
}

func TestArchivesHaveTheProgramAndItsNotices(t *testing.T) {
	dir := packed(t)
	for name, own := range map[string][]string{
		"pico-auth-linux-amd64.tar.gz":  {"pico-auth", "contrib/systemd/pico-auth.service", "contrib/systemd/pico-auth.socket"},
		"pico-auth-darwin-arm64.tar.gz": {"pico-auth"},
		"pico-auth-windows-amd64.zip":   {"pico-auth.exe"},
	} {
		files, want := unpack(t, filepath.Join(dir, name)), []string{}
		for _, file := range append(own, "CHANGELOG.md", "LICENSE", "README.txt", "THIRD-PARTY-LICENSES.txt") {
			want = append(want, folder+file)
		}
		got := []string{}
		for file, is := range files {
			got = append(got, file)
			mode := "-rw-r--r--"
			if file == folder+own[0] {
				mode = "-rwxr-xr-x"
			}
			if is[0] != mode || is[1] == "" {
				t.Errorf("%s: %s has mode %s, want %s, and %d bytes", name, file, is[0], mode, len(is[1]))
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if text := files[folder+"README.txt"][1]; !strings.Contains(text, "pico-auth v1.2.3") {
			t.Errorf("README.txt: %s", text)
		}
		bare := strings.TrimSuffix(strings.TrimSuffix(name, ".tar.gz"), ".zip")
		if program := files[folder+own[0]][1]; !strings.HasPrefix(program, "program "+bare) {
			t.Errorf("%s has %s", name, program)
		}
	}
}

func TestArchivesAreTheSameAtEachBuild(t *testing.T) {
	dir := packed(t)
	before := map[string][]byte{}
	read := func(visit func(name string, content []byte)) {
		files, err := filepath.Glob(dir + "/*[.a-z]*z*")
		if err != nil || len(files) < 3 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			visit(file, content)
		}
	}
	read(func(name string, content []byte) { before[name] = content })
	if err := pack(t.Context(), dir, "v1.2.3", []string{"windows/amd64", "linux/amd64", "darwin/arm64"}, at); err != nil {
		t.Fatal(err)
	}
	read(func(name string, content []byte) {
		if !bytes.Equal(before[name], content) {
			t.Errorf("%s is another one", name)
		}
	})
}

// A module that is linked on one platform only, a package with a licence of its own, a
// NOTICE file, the standard library and each embedded file of others.
func TestNoticesCoverWhatThePlatformsContain(t *testing.T) {
	t.Chdir("../..")
	text, err := notices(t.Context(), []string{"linux/amd64", "windows/amd64"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`\nGo 1`, "The Go Authors",
		"\nmodernc.org/sqlite ", "LICENSE-SQLITE\n", "\nmodernc.org/libc ",
		"\ngithub.com/jackc/pgx/v5 ", "\ngithub.com/cloudflare/circl ",
		"\ngithub.com/go-jose/go-jose/v4 ", ": json/LICENSE\n",
		"\ngithub.com/prometheus/client_golang ", ": NOTICE\n",
		"\ninternal/hosted/assets: pico.LICENSE.md\n",
		"\ninternal/httpapi/swagger: LICENSE\n", "\ninternal/httpapi/swagger: NOTICE\n", "\ninternal/httpapi/swagger: swagger-ui-bundle.js.LICENSE.txt\n",
		"\ninternal/password/common: LICENSE\n",
	} {
		if !strings.Contains(string(text), strings.ReplaceAll(want, `\n`, "\n")) {
			t.Errorf("the notices lack %q", want)
		}
	}
	if strings.Contains(string(text), "chromedp") || strings.Contains(string(text), "rapid") {
		t.Error("the notices have a module of tests")
	}
}

func TestAModuleWithoutLicenceIsRefused(t *testing.T) {
	dir := t.TempDir()
	linked := map[string]linkedModule{"example.com/m v1.0.0": {dir, map[string]bool{dir: true}}}
	if text, err := collect(linked); err == nil || !strings.Contains(err.Error(), "example.com/m v1.0.0 has no file with its licence") {
		t.Errorf("%s, %v", text, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "COPYING"), []byte("take it"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := collect(linked); err != nil || !strings.Contains(string(text), "example.com/m v1.0.0: COPYING\n\ntake it") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestNoticesAreRecognizedByName(t *testing.T) {
	for name, is := range map[string]bool{
		"LICENSE": true, "LICENSE.txt": true, "license.md": true, "LICENCE": true, "COPYING": true, "NOTICE": true, "LICENSE-3RD-PARTY.md": true, "PATENTS": true,
		"pico.LICENSE.md": true, "swagger-ui-bundle.js.LICENSE.txt": true, "licenses.go": false, "notice_response.go": false, "README.md": false,
	} {
		if notice.MatchString(name) != is {
			t.Errorf("%s: %t", name, !is)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

const (
	noticesFile = "THIRD-PARTY-LICENSES.txt"
	module      = "github.com/pico-auth/pico-auth"
)

// notice are the names of the files by which authors state licences and copyrights.
var notice = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice|patents|unlicense)([-.].*)?$|\.licen[cs]e(\.(md|txt))?$`)

// notices returns the text of every such file of what the programs contain: the standard
// library, the modules that are linked on any of the platforms, and the files of others
// that are embedded.
func notices(ctx context.Context, platforms []string) ([]byte, error) {
	linked, err := linkedFolders(ctx, platforms)
	if err != nil {
		return nil, err
	}
	return collect(linked)
}

// collect returns the text of the notices of modules. One without any is an error.
func collect(linked map[string]linkedModule) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("pico-auth contains the software of others that is named here, under the following terms.\n")
	for _, name := range slices.Sorted(maps.Keys(linked)) {
		m, found := linked[name], 0
		for _, dir := range slices.Sorted(maps.Keys(m.dirs)) {
			files, err := noticesOf(dir)
			if err != nil {
				return nil, err
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					return nil, err
				}
				shown, err := filepath.Rel(m.root, file)
				if err != nil {
					return nil, err
				}
				fmt.Fprintf(&out, "\n%s\n%s: %s\n\n%s\n", strings.Repeat("=", 80), name, filepath.ToSlash(shown), bytes.TrimSpace(text))
				found++
			}
		}
		if found == 0 {
			return nil, fmt.Errorf("%s has no file with its licence in %s", name, m.root)
		}
	}
	return out.Bytes(), nil
}

// noticesOf returns the notices in a folder, without those below it.
func noticesOf(dir string) (files []string, err error) {
	all, err := os.ReadDir(dir)
	for _, file := range all {
		if !file.IsDir() && notice.MatchString(file.Name()) {
			files = append(files, filepath.Join(dir, file.Name()))
		}
	}
	return files, err
}

// linkedModule is a module of which packages are linked.
type linkedModule struct {
	root string
	dirs map[string]bool // the folders of its packages and those above them, up to root
}

// linkedFolders returns what is linked on the platforms, by "PATH VERSION".
func linkedFolders(ctx context.Context, platforms []string) (map[string]linkedModule, error) {
	linked := map[string]linkedModule{}
	goRoot, err := command(ctx, nil, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	root := strings.TrimSpace(goRoot)
	linked["Go "+strings.TrimPrefix(runtime.Version(), "go")] = linkedModule{root, map[string]bool{root: true}}
	for _, platform := range platforms {
		system, arch, _ := strings.Cut(platform, "/")
		list, err := command(ctx, []string{"GOOS=" + system, "GOARCH=" + arch},
			"list", "-deps", "-f", "{{with .Module}}{{.Path}}\t{{.Version}}\t{{.Dir}}\t{{$.Dir}}{{end}}", module+"/cmd/pico-auth")
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(list) {
			fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			if len(fields) != 4 {
				continue // of the standard library
			}
			path, version, root, dir := fields[0], fields[1], fields[2], fields[3]
			if path == module {
				if err := addEmbedded(linked, root, dir); err != nil {
					return nil, err
				}
				continue
			}
			name := path + " " + version
			if linked[name].dirs == nil {
				linked[name] = linkedModule{root, map[string]bool{}}
			}
			for ; len(dir) >= len(root); dir = filepath.Dir(dir) {
				linked[name].dirs[dir] = true
			}
		}
	}
	return linked, nil
}

// addEmbedded adds the folders of a package of ours that hold embedded files of others:
// those with a notice. Folders of packages are not looked into again.
func addEmbedded(linked map[string]linkedModule, root, dir string) error {
	all, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range all {
		below := filepath.Join(dir, entry.Name())
		if !entry.IsDir() || entry.Name() == "testdata" {
			continue
		}
		files, err := noticesOf(below)
		if err != nil {
			return err
		}
		if len(files) == 0 {
			continue
		}
		name, err := filepath.Rel(root, below)
		if err != nil {
			return err
		}
		linked[filepath.ToSlash(name)] = linkedModule{below, map[string]bool{below: true}}
	}
	return nil
}

// command returns the output of a command of Go, with the environment in addition.
func command(ctx context.Context, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // commands of this file
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

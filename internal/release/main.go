// Command release packs the programs of a release: an archive for each platform, and
// THIRD-PARTY-LICENSES.txt, the notices of all that they contain, which their licences
// demand of a binary that is distributed.
//
// It does not build the programs. tools/release.sh calls it in the root of the repository,
// when it has. The archives have nothing of the machine in them: the same programs and
// the same time give the same bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	dist := flag.String("dist", "dist", "folder of the programs, pico-auth-OS-ARCH, and of the archives")
	version := flag.String("version", "", "version of the programs")
	platforms := flag.String("platforms", "", "OS/ARCH of each program, with spaces between them")
	seconds := flag.Int64("time", 0, "time of all files in the archives, in seconds since 1970")
	flag.Parse()
	if err := pack(context.Background(), *dist, *version, strings.Fields(*platforms), time.Unix(*seconds, 0).UTC()); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// readme is the text that a user of an archive reads first.
const readme = `pico-auth %[1]s, an OpenID provider and an authentication server with a JSON API.

Start it, and open http://localhost:8100:

    ./pico-auth

The first administrator is admin@pico.local with the password "admin", which works
on this machine only. To install it, put the program into a folder of PATH.

Documentation:  https://github.com/pico-auth/pico-auth/tree/%[1]s
Before an upgrade, and what has changed:  CHANGELOG.md
Licence:  LICENSE; of what the program contains:  THIRD-PARTY-LICENSES.txt
`

// pack writes the notices and an archive for each platform into dist.
func pack(ctx context.Context, dist, version string, platforms []string, at time.Time) error {
	text, err := notices(ctx, platforms)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dist, noticesFile), text, 0o644); err != nil { //nolint:gosec // everyone may read it
		return err
	}
	common := []entry{{noticesFile, 0o644, text}, {"README.txt", 0o644, fmt.Appendf(nil, readme, version)}}
	for _, name := range []string{"LICENSE", "CHANGELOG.md"} {
		if common, err = with(common, name, name, 0o644); err != nil {
			return err
		}
	}
	for _, platform := range platforms {
		system, arch, ok := strings.Cut(platform, "/")
		if !ok {
			return fmt.Errorf("platform %q is not OS/ARCH", platform)
		}
		if err := packOne(dist, system, arch, common, at); err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
	}
	return nil
}

// packOne writes the archive of a platform: zip for Windows, tar.gz for the others.
func packOne(dist, system, arch string, common []entry, at time.Time) (err error) {
	name, suffix, write := "pico-auth-"+system+"-"+arch, "", writeTar
	if system == "windows" {
		suffix, write = ".exe", writeZip
	}
	files, err := with(common, "pico-auth"+suffix, filepath.Join(dist, name+suffix), 0o755)
	if err != nil {
		return err
	}
	if system == "linux" {
		for _, unit := range []string{"contrib/systemd/pico-auth.service", "contrib/systemd/pico-auth.socket"} {
			if files, err = with(files, unit, unit, 0o644); err != nil {
				return err
			}
		}
	}
	content, err := write(files, at)
	if err != nil {
		return err
	}
	if system == "windows" {
		name += ".zip"
	} else {
		name += ".tar.gz"
	}
	return os.WriteFile(filepath.Join(dist, name), content, 0o644) //nolint:gosec // everyone may read it
}

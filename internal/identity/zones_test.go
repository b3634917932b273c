package identity_test

import (
	"archive/zip"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/identity"
)

var update = flag.Bool("update", false, "write zones.txt")

// The list is that of the Go that builds the program.
func TestZonesAreThoseOfGo(t *testing.T) {
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	database, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Skip("NOT TESTED: this Go comes without the time zone database: ", err)
	}
	defer func() { _ = database.Close() }()
	var names []string
	for _, file := range database.File {
		if !strings.HasSuffix(file.Name, "/") && file.Name != "Factory" { // of a clock that was not set
			names = append(names, file.Name)
		}
	}
	slices.Sort(names)
	want := strings.Join(names, "\n") + "\n"
	if *update {
		if err := os.WriteFile("zones.txt", []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile("zones.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("go test ./internal/identity -update (-want +got):\n%s", diff)
	}
}

func TestATimeZoneIsOneOfTheDatabase(t *testing.T) {
	for zone, want := range map[string]bool{
		"Europe/Berlin": true, "America/Argentina/Buenos_Aires": true, "UTC": true, "Etc/GMT+5": true, "": true,
		"Europe/Berlyn": false, "europe/berlin": false, "Local": false, "Factory": false, "posix/UTC": false, "Europe": false,
		"../../etc/passwd": false, "+01:00": false,
	} {
		u := identity.User{Profile: identity.Profile{Zoneinfo: "Asia/Tokyo"}}
		if _, err := identity.ChangeProfile(&u, map[string]string{"zoneinfo": zone}); (err == nil) != want {
			t.Errorf("%q: %v", zone, err)
		}
	}
}

// v0.4.0 took any text in the form of a name. The account page sends all fields, whichever
// the user has changed.
func TestAStoredValueThatIsRefusedNowMayStay(t *testing.T) {
	u := identity.User{Profile: identity.Profile{Zoneinfo: "Mars/Olympus"}}
	changed, err := identity.ChangeProfile(&u, map[string]string{"zoneinfo": "Mars/Olympus", "nickname": "ada"})
	if err != nil || !slices.Equal(changed, []string{"nickname"}) || u.Profile.Nickname != "ada" {
		t.Errorf("%v, %v, %+v", changed, err, u.Profile)
	}
}

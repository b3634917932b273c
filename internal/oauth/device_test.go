package oauth_test

import (
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

func TestRFC8628Section61UserCodes(t *testing.T) {
	if len(oauth.UserCodeLetters) != 20 || strings.ContainsAny(oauth.UserCodeLetters, "AEIOUY0123456789") {
		t.Errorf("letters %s", oauth.UserCodeLetters)
	}
	code := oauth.NewUserCode([8]uint32{0, 1, 19, 20, 1<<32 - 1, 7, 8, 9})
	if len(code) != 8 || strings.Trim(code, oauth.UserCodeLetters) != "" {
		t.Errorf("code %s", code)
	}
	for typed, want := range map[string]string{
		"WDJB-MJHT": "WDJBMJHT", "wdjbmjht": "WDJBMJHT", " w d j b . m j h t ": "WDJBMJHT", "wdjb—mjht": "", "WDJBMJH": "",
		"WDJBMJHTT": "", "WDJBMJHA": "", "WDJBMJH1": "", "": "", strings.Repeat("-", 65): "",
		oauth.ShowUserCode(code): code,
	} {
		if got := oauth.ParseUserCode(typed); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

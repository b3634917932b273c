package hosted_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// waiting is a device that waits for its user, by the code that it shows.
func (r *rig) waiting(more oauth.Settings) string {
	r.t.Helper()
	settings := oauth.Settings{"name": "Kitchen display", "kind": "native", "grant_types": []string{oauth.GrantDevice}, "redirect_uris": []string{}}
	maps.Copy(settings, more)
	codes, err := r.Authorize.StartDevice(r.t.Context(), identity.Actor{Address: "203.0.113.7"}, r.client(settings), "openid email", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return codes.User
}

// RFC 8628 section 3.3 and 5.4: the user sees which client asks and from where, and the
// code to compare, before they confirm.
func TestRFC8628Section54TheUserConfirmsADevice(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	code := r.waiting(nil)
	b := r.browser()
	b.open("/device?user_code="+code).shows(200, "/sign-in").signIn("ada@example.com").shows(200, "/device", `value="`+code+`"`)
	b.submit("/device", "user_code", strings.ToLower(code)).shows(200, "/device", "Connect Kitchen display?", code, "203.0.113.7", "See your email address")
	b.submit("/device", "action", "allow").shows(200, "/device", "Your device is connected")
	b.open("/device").submit("/device", "user_code", code).shows(422, "/device", "This code is wrong or has expired.")
	code = r.waiting(nil)
	b.open("/device").submit("/device", "user_code", code).submit("/device", "action", "deny").shows(200, "/device", "The device was not connected")
}

func TestWrongDeviceCodesAreCounted(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	b := r.signedIn("ada@example.com")
	for range 5 {
		b.open("/device").submit("/device", "user_code", "BBBB-BBBB").shows(422, "/device", "This code is wrong or has expired.", `aria-invalid="true"`)
	}
	b.submit("/device", "user_code", r.waiting(nil)).shows(403, "/device", "Too many wrong codes.")
}

// Each sign-in gives five more, but not without end.
func TestNewSessionsGiveAUserNoFurtherDeviceCodes(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	r.user("bob@example.com")
	for range 10 {
		b := r.signedIn("ada@example.com")
		for range 5 {
			b.open("/device").submit("/device", "user_code", "BBBB-BBBB").shows(422, "/device")
		}
	}
	for _, action := range []string{"", "allow"} {
		r.signedIn("ada@example.com").send(http.MethodPost, "/device", url.Values{"user_code": {"BBBB-BBBB"}, "action": {action}}, nil).shows(429, "/device", "Too many attempts")
	}
	r.signedIn("bob@example.com").open("/device").submit("/device", "user_code", r.waiting(nil)).shows(200, "/device", "Connect Kitchen display?")
}

func TestADeviceOfAClientThatTheUserMayNotUseIsRefused(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	code := r.waiting(oauth.Settings{"allowed_roles": []string{"superadmin"}})
	b := r.signedIn("ada@example.com")
	b.send(http.MethodPost, "/device", url.Values{"user_code": {code}, "action": {"allow"}}, nil).shows(403, "/device", "Your account may not use this app.")
}

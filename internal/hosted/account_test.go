package hosted_test

import (
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/session"
)

// signedIn is a browser at the account of the user.
func (r *rig) signedIn(email string) *browser {
	r.t.Helper()
	return r.browser().open("/sign-in").signIn(email).shows(200, "/account")
}

func TestTheProfileIsEditedOnThePage(t *testing.T) {
	r := newRig(t, "")
	u := r.user("ada@example.com")
	b := r.signedIn("ada@example.com")
	b.submit("/account/profile", "display_name", "Ada King", "given_name", "Ada", "website", "https://ada.example").
		shows(200, "/account", `role="status"`, "Your profile is saved.", `value="Ada King"`, `value="https://ada.example"`)
	b.submit("/account/profile", "display_name", "Ada King", "website", "javascript:alert(1)").
		shows(422, "/account/profile", `value="javascript:alert(1)"`, "Website must be an absolute http or https URL", "<details open>")
	b.send("POST", "/account/profile", map[string][]string{"email": {"eve@example.com"}, "role": {"superadmin"}}, nil)
	stored, err := r.Store.UserByID(t.Context(), u.ID)
	if err != nil || stored.DisplayName != "Ada King" || stored.Email != "ada@example.com" || stored.Role != identity.Viewer || stored.Profile.Website != "https://ada.example" {
		t.Errorf("%+v, %v", stored, err)
	}
}

// What a client may get with the scopes phone and address, the user sees and edits.
func TestPhoneNumberAndAddressAreEditedOnThePage(t *testing.T) {
	r := newRig(t, "")
	u := r.user("ada@example.com")
	b := r.signedIn("ada@example.com")
	b.submit("/account/profile", "phone_number", "+44 20 7946 0018", "address.street_address", "12 St James's Square\r\nBack door", "address.postal_code", "SW1Y 4JH",
		"address.locality", "London", "address.region", "Greater London", "address.country", "United Kingdom").
		shows(200, "/account", "Your profile is saved.", "Back door</textarea>", `value="SW1Y 4JH"`, `value="United Kingdom"`)
	want := identity.Address{Street: "12 St James's Square\nBack door", PostalCode: "SW1Y 4JH", Locality: "London", Region: "Greater London", Country: "United Kingdom"}
	if stored, err := r.Store.UserByID(t.Context(), u.ID); err != nil || stored.Profile.Phone != "+44 20 7946 0018" || stored.Profile.Address != want {
		t.Errorf("%+v, %v", stored.Profile, err)
	}
	b.submit("/account/profile", "phone_number", "020 7946 0018").shows(422, "/account/profile", "Phone number must be", "<details open>")
}

func TestThePasswordIsChangedOnThePage(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	b, elsewhere := r.signedIn("ada@example.com"), r.signedIn("ada@example.com")
	b.submit("/account/password", "old_password", "wrong", "new_password", "another long secret").
		shows(422, "/account/password", "This is not your current password.", `aria-describedby="old_password-fault"`)
	b.submit("/account/password", "old_password", password, "new_password", "short").
		shows(422, "/account/password", "at least 8 characters long", `aria-describedby="new_password-fault"`)
	b.submit("/account/password", "old_password", password, "new_password", "another long secret").
		shows(200, "/account", "Your password is changed.")
	elsewhere.open("/account").shows(200, "/sign-in")
	elsewhere.submit("/sign-in", "email", "ada@example.com", "password", "another long secret").shows(200, "/account")
	b.open("/account").shows(200, "/account")
}

func TestSessionsAreEndedOnThePage(t *testing.T) {
	r := newRig(t, "")
	u := r.user("ada@example.com")
	b, elsewhere := r.signedIn("ada@example.com"), r.signedIn("ada@example.com")
	eve := r.user("eve@example.com")
	_ = eve
	foreign := r.signedIn("eve@example.com")
	b.open("/account")
	if strings.Count(b.body, `action="/account/sessions/`) != 1 || strings.Count(b.body, "This browser") != 1 {
		t.Fatal(b.body)
	}
	page, err := r.Sessions.List(t.Context(), identity.Actor{}.AsUser(u.ID), u.ID, session.Filter{})
	if err != nil || len(page.Items) != 2 {
		t.Fatal(page, err)
	}
	for _, s := range page.Items {
		foreign.send("POST", "/account/sessions/"+s.ID, map[string][]string{"x": {""}}, nil)
	}
	elsewhere.open("/account").shows(200, "/account")
	id := formPattern.FindAllStringSubmatch(b.body, -1)
	for _, form := range id {
		if strings.HasPrefix(form[1], "/account/sessions/") {
			b.send("POST", form[1], map[string][]string{"x": {""}}, nil).shows(200, "/account", "The session has ended.")
		}
	}
	elsewhere.open("/account").shows(200, "/sign-in")
	elsewhere.signIn("ada@example.com").shows(200, "/account")
	b.open("/account").submit("/account/sessions").shows(200, "/signed-out", "You are signed out")
	for _, other := range []*browser{b, elsewhere} {
		other.open("/account").shows(200, "/sign-in")
	}
	foreign.open("/account").shows(200, "/account")
}

func TestSigningOutOnThePage(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	b := r.signedIn("ada@example.com")
	b.open("/signed-out").shows(200, "/account", "Ada Lovelace")
	b.open("/account").submit("/account/sign-out").shows(200, "/signed-out", "You are signed out")
	b.open("/account").shows(200, "/sign-in")
	b.open("/signed-out").shows(200, "/signed-out", "You are signed out")
}

func TestAConnectedAppIsRemovedOnThePage(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(nil)
	b := r.browser()
	b.open(authorization(c)).signIn("ada@example.com").submit("/consent", "action", "allow").returned()
	b.open("/account").shows(200, "/account", "Northwind Notes", "See your email address")
	b.submit("/account/apps/"+c.ID).shows(200, "/account", "The app no longer has access to your account.", "No app has access to your account.")
	b.open(authorization(c)).shows(200, "/consent")
}

// A form that was refused by a limit says so to programs too: a flood of guesses is held
// back by its status.
func TestALimitedFormOfThePagesIsA429(t *testing.T) {
	r := newRig(t, "")
	u := r.user("ada@example.com")
	b := r.signedIn("ada@example.com")
	limited := func(b *browser, path string, pairs ...string) {
		t.Helper()
		b.submit(path, pairs...).shows(429, path, "Too many attempts")
		if b.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	for r.Throttle.ProfileChange(t.Context(), identity.Actor{}.AsUser(u.ID)) == nil { // until it is refused
	}
	limited(b.open("/account"), "/account/profile", "nickname", "Ada")
	for range 5 {
		b.open("/account").submit("/account/password", "old_password", "wrong", "new_password", "another long secret").shows(422, "/account/password")
	}
	limited(b.open("/account"), "/account/password", "old_password", "wrong", "new_password", "another long secret")
	limited(r.browser().open("/sign-in"), "/sign-in", "email", "ada@example.com", "password", "wrong")
	for r.Throttle.Registration(t.Context(), identity.Actor{Network: "127.0.0.0/24"}) == nil { // until it is refused
	}
	limited(r.browser().open("/register"), "/register", "email", "bob@example.com", "password", "another long secret")
}

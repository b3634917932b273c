package httpapi

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// allow lets the user allow a new client of that name the scopes, in a browser.
func (r *rig) allow(u identity.User, name, scope string) (clientID string) {
	r.t.Helper()
	ctx := r.t.Context()
	c, _, err := r.clients.Create(ctx, system, oauth.Settings{"name": name, "redirect_uris": []string{"https://app.example/cb"}, "require_pkce": false})
	if err != nil {
		r.t.Fatal(err)
	}
	u, err = r.store.UserByID(ctx, u.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	cookie, b, err := r.sessions.StartBrowser(ctx, identity.Actor{}, identity.NewProof(u, r.now(), identity.MethodPassword), "", false)
	if err != nil {
		r.t.Fatal(err)
	}
	in := authorize.Browser{SessionID: b.Session.ID, CookieHash: cookie.Hash()}
	params := url.Values{"client_id": {c.ID}, "redirect_uri": {"https://app.example/cb"}, "response_type": {"code"}, "scope": {scope}}
	next, err := r.requests.Begin(ctx, identity.Actor{}, params, in)
	if err != nil || next.Step != authorize.Consent {
		r.t.Fatalf("%+v, %v", next, err)
	}
	in.Secret = next.Secret
	if err := r.requests.Consent(ctx, identity.Actor{}, next.ID, in); err != nil {
		r.t.Fatal(err)
	}
	return c.ID
}

func TestAUserListsAndWithdrawsConsents(t *testing.T) {
	r := newRig(t)
	u := r.user(identity.Viewer, "default")
	access, _ := r.session(u)
	other, _ := r.session(r.user(identity.Viewer, "default"))
	id := r.allow(u, "Wiki", "openid email")
	r.allow(u, "Calendar", "openid")

	list := r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/consents", access, ""))
	wantFields(t, list, "consents", "total")
	all, _ := list.body["consents"].([]any)
	if len(all) != 2 || list.body["total"] != float64(2) {
		t.Fatalf("the list is %v", list.body)
	}
	first, _ := all[0].(map[string]any)
	if first["client_id"] != id || first["client_name"] != "Wiki" || first["scope"] != "openid email" || first["granted_at"] == "" {
		t.Errorf("the first one is %v", first)
	}
	if list := r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/consents", other, "")); list.body["total"] != float64(0) {
		t.Errorf("another user's list is %v", list.body)
	}
	r.want(http.StatusNotFound, r.call(http.MethodDelete, "/api/v1/auth/consents/"+id, other, ""))
	r.want(http.StatusOK, r.call(http.MethodDelete, "/api/v1/auth/consents/"+id, access, ""))
	r.want(http.StatusNotFound, r.call(http.MethodDelete, "/api/v1/auth/consents/"+id, access, ""))
	if list := r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/consents", access, "")); list.body["total"] != float64(1) {
		t.Errorf("after the withdrawal the list is %v", list.body)
	}
}

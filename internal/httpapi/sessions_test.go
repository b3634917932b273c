package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/session"
)

// sessionIDs are the ids of the user's sessions, oldest first.
func (r *rig) sessionIDs(u identity.User) (ids []string) {
	r.t.Helper()
	page, err := r.sessions.List(context.Background(), system, u.ID, session.Filter{})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range page.Items {
		ids = append(ids, s.ID)
	}
	return ids
}

// logInFrom logs in as that program, through a proxy.
func (r *rig) logInFrom(u identity.User, userAgent string) (access, refresh string) {
	r.t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/api/v1/auth/login", strings.NewReader(toJSON(r.t, map[string]string{"email": u.Email, "password": testPassword})))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("X-Forwarded-For", "198.51.100.7")
	a := r.want(http.StatusOK, r.do(req))
	return a.text("access_token"), a.text("refresh_token")
}

// listed are the entries of a list of sessions.
func listed(a response) (all []map[string]any) {
	entries, _ := a.body["sessions"].([]any)
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		all = append(all, entry)
	}
	return all
}

func TestAUserSeesTheOwnSessionsAndWhichIsTheCurrentOne(t *testing.T) {
	r := newRig(t)
	u := r.user(identity.Viewer, "default")
	access, _ := r.logInFrom(u, "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
	r.session(u)
	r.session(r.user(identity.Viewer, "default")) // another user's

	list := r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/sessions", access, ""))
	wantFields(t, list, "sessions", "total")
	all := listed(list)
	if len(all) != 2 || list.body["total"] != float64(2) {
		t.Fatalf("%s", list.raw)
	}
	wantFields(t, response{body: all[0]}, "id", "created_at", "last_used_at", "expires_at", "address", "device", "client_id", "amr", "current")
	first := response{body: all[0]}
	if first.text("address") != "198.51.100.7" || first.text("device") != "Firefox on Linux" || first.text("client_id") != identity.FirstPartyClient ||
		fmt.Sprint(all[0]["amr"]) != "[pwd]" || all[0]["current"] != true || all[1]["current"] != false {
		t.Errorf("%s", list.raw)
	}
	expires, err := time.Parse(time.RFC3339Nano, first.text("expires_at"))
	if in := time.Until(expires); err != nil || in < 6*24*time.Hour || in > 7*24*time.Hour {
		t.Errorf("it expires in %v, %v", in, err)
	}
	page := r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/sessions?limit=1", access, ""))
	next := r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/sessions?limit=1&cursor="+page.text("next_cursor"), access, ""))
	if len(listed(page)) != 1 || len(listed(next)) != 1 || listed(next)[0]["id"] != all[1]["id"] || next.text("next_cursor") != "" {
		t.Errorf("%s then %s", page.raw, next.raw)
	}
}

func TestAnEndedSessionIsRefusedAtOnceAndListedAsRevoked(t *testing.T) {
	r := newRig(t)
	admin := r.as(identity.OrgAdmin, "default")
	for name, end := range map[string]func(u identity.User, access, id string) response{
		"from elsewhere": func(_ identity.User, access, id string) response {
			return r.call(http.MethodDelete, "/api/v1/auth/sessions/"+id, access, "")
		},
		"by an administrator": func(u identity.User, _, id string) response {
			return r.call(http.MethodDelete, "/api/v1/auth/users/"+u.ID+"/sessions/"+id, admin, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := r.user(identity.Viewer, "default")
			here, refresh := r.session(u)
			there, thereRefresh := r.session(u)
			id := r.sessionIDs(u)[1]
			wantFields(t, r.want(http.StatusOK, end(u, here, id)), "message")
			r.want(http.StatusUnauthorized, r.call(http.MethodGet, "/api/v1/auth/me", there, ""))
			r.want(http.StatusUnauthorized, r.call(http.MethodPost, "/api/v1/auth/refresh", "", fmt.Sprintf("%q", thereRefresh)))
			if !r.revoked(admin, there) || r.revoked(admin, here) {
				t.Error("not listed as revoked, or too much is")
			}
			r.want(http.StatusNotFound, end(u, here, id)) // it has ended
			r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/me", here, ""))
			r.want(http.StatusOK, r.call(http.MethodPost, "/api/v1/auth/refresh", "", fmt.Sprintf("%q", refresh)))
			if ids := r.sessionIDs(u); len(ids) != 1 || ids[0] == id {
				t.Errorf("listed: %v", ids)
			}
		})
	}
}

// revoked reports whether the access token is in the list of revoked ones.
func (r *rig) revoked(bearer, access string) bool {
	r.t.Helper()
	claims, err := r.guard.Verify(context.Background(), access)
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.Contains(string(r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/revoked-jtis", bearer, "")).raw), `"`+claims.TokenID+`"`)
}

func TestAllSessionsOfAUserEnd(t *testing.T) {
	r := newRig(t)
	admin := r.as(identity.OrgAdmin, "default")
	for name, end := range map[string]func(u identity.User, access string) response{
		"by the user": func(_ identity.User, access string) response {
			return r.call(http.MethodPost, "/api/v1/auth/logout-all", access, "")
		},
		"by an administrator": func(u identity.User, _ string) response {
			return r.call(http.MethodDelete, "/api/v1/auth/users/"+u.ID+"/sessions", admin, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := r.user(identity.Viewer, "default")
			here, refresh := r.session(u)
			there, thereRefresh := r.session(u)
			wantFields(t, r.want(http.StatusOK, end(u, here)), "message")
			for _, access := range []string{here, there} {
				r.want(http.StatusUnauthorized, r.call(http.MethodGet, "/api/v1/auth/me", access, ""))
				if !r.revoked(admin, access) {
					t.Error("not listed as revoked")
				}
			}
			for _, token := range []string{refresh, thereRefresh} {
				r.want(http.StatusUnauthorized, r.call(http.MethodPost, "/api/v1/auth/refresh", "", fmt.Sprintf("%q", token)))
			}
			again, _ := r.session(u) // the password is still valid
			r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/me", again, ""))
		})
	}
}

// Who may list and end whose sessions: oneself by the routes for that, and by the
// others as users are managed.
func TestAdministratorsReachSessionsAsTheyManageUsers(t *testing.T) {
	r := newRig(t)
	tokens := map[string]string{}
	for _, role := range []identity.Role{identity.Viewer, identity.OrgAdmin, identity.Superadmin} {
		tokens[string(role)] = r.as(role, "default")
	}
	for _, c := range []struct {
		who        string
		role       identity.Role
		org        string
		wantStatus int
	}{
		{"viewer", identity.Viewer, "default", 403},
		{"org_admin", identity.OrgAdmin, "default", 200},
		{"org_admin", identity.Superadmin, "default", 403},
		{"org_admin", identity.Viewer, "other", 404},
		{"superadmin", identity.Superadmin, "other", 200},
	} {
		u := r.user(c.role, c.org)
		r.session(u)
		path := "/api/v1/auth/users/" + u.ID + "/sessions"
		for _, request := range []string{"GET " + path, "DELETE " + path + "/" + r.sessionIDs(u)[0], "DELETE " + path} {
			method, path, _ := strings.Cut(request, " ")
			if a := r.call(method, path, tokens[c.who], ""); a.status != c.wantStatus {
				t.Errorf("%s, %s of a %s in %s: %d %s", c.who, request, c.role, c.org, a.status, a.raw)
			}
		}
		if left := r.sessionIDs(u); (c.wantStatus == 200) != (len(left) == 0) {
			t.Errorf("%s: %v are left", c.who, left)
		}
	}
	// Another user's session is no session of this one.
	one, other := r.user(identity.Viewer, "default"), r.user(identity.Viewer, "default")
	r.session(one)
	r.want(http.StatusNotFound, r.call(http.MethodDelete, "/api/v1/auth/users/"+other.ID+"/sessions/"+r.sessionIDs(one)[0], tokens["superadmin"], ""))
	if len(r.sessionIDs(one)) != 1 {
		t.Error("it ended")
	}
}

package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// unread is a response that its client does not read.
type unread struct {
	*httptest.ResponseRecorder
	began, read chan struct{}
	once        sync.Once
}

// Write implements http.ResponseWriter.
func (u *unread) Write(p []byte) (int, error) {
	u.once.Do(func() { close(u.began) })
	<-u.read
	return u.ResponseRecorder.Write(p)
}

func (r *rig) list(ctx context.Context, path, bearer string) *http.Request {
	req := httptest.NewRequestWithContext(ctx, "GET", path, nil)
	req.Header.Set("Authorization", "Bearer "+bearer)
	return req
}

// Whatever the list, and in whatever session the user asks for it.
func TestAUserHasFewListsInMemoryUntilTheyAreRead(t *testing.T) {
	r := newRig(t)
	g := r.group("")
	admin, other := r.user(identity.Superadmin, ""), r.as(identity.OrgAdmin, "")
	first, _ := r.session(admin)
	second, _ := r.session(admin)
	for range listsAtOnce - 1 {
		leave, err := r.lists.enter(t.Context(), identity.Actor{Kind: identity.ActorUser, ID: admin.ID})
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	paths := []string{
		"/api/v1/auth/users", "/api/v1/groups", "/api/v1/groups/" + g.ID, "/api/v1/organizations", "/api/v1/clients",
		"/api/v1/auth/service-tokens", "/api/v1/auth/sessions", "/api/v1/auth/users/" + admin.ID + "/sessions", "/api/v1/audit",
	}
	for i, path := range paths {
		slow := &unread{ResponseRecorder: httptest.NewRecorder(), began: make(chan struct{}), read: make(chan struct{})}
		var reading sync.WaitGroup
		reading.Go(func() { r.serve(slow, r.list(t.Context(), path, first)) })
		<-slow.began
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		rec := httptest.NewRecorder()
		waiting.Go(func() { r.serve(rec, r.list(ctx, paths[(i+1)%len(paths)], second)) })
		r.want(http.StatusOK, r.call("GET", "/api/v1/auth/users", other, ""))
		r.want(http.StatusOK, r.call("GET", "/api/v1/auth/me", first, ""))
		cancel()
		waiting.Wait()
		if rec.Code == http.StatusOK {
			t.Errorf("%s: one list more beside %s", paths[(i+1)%len(paths)], path)
		}
		close(slow.read)
		reading.Wait()
		if slow.Code != http.StatusOK {
			t.Errorf("%s: %d", path, slow.Code)
		}
	}
	if len(r.lists.of) != 1 {
		t.Errorf("%d users are kept", len(r.lists.of))
	}
	for _, rt := range r.routes {
		if listed := len(rt.query) > 0 && rt.Method == "GET"; listed != (rt.isLong(r.list(t.Context(), "/", "")) && !rt.whole) && rt.ID != "list_revoked_jtis" {
			t.Errorf("%s: %v", rt.ID, rt.query)
		}
	}
}

// Changes of one user wait for each other's locks: without a limit each would hold a
// connection to the database while it does.
func TestAUserHasFewChangesAtATime(t *testing.T) {
	r := newRig(t)
	u := r.user(identity.Viewer, "")
	user, _ := r.session(u)
	other := r.as(identity.Viewer, "")
	for range changesAtOnce {
		leave, err := r.changes.enter(t.Context(), identity.Actor{Kind: identity.ActorUser, ID: u.ID})
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	rec := httptest.NewRecorder()
	waiting.Go(func() { r.serve(rec, r.patch(ctx, user, `{"display_name":"Ada"}`)) })
	r.want(http.StatusOK, r.call("PATCH", "/api/v1/auth/me", other, `{"display_name":"Bob"}`))
	r.want(http.StatusOK, r.call("GET", "/api/v1/auth/me", user, ""))
	r.want(http.StatusOK, r.call("GET", "/api/v1/groups", user, ""))
	cancel()
	waiting.Wait()
	if rec.Code == http.StatusOK {
		t.Errorf("%d changes at a time", changesAtOnce+1)
	}
}

func (r *rig) patch(ctx context.Context, bearer, body string) *http.Request {
	req := httptest.NewRequestWithContext(ctx, "PATCH", "/api/v1/auth/me", strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Content-Type", "application/json")
	return req
}

// A client with a stolen token must not keep the user from ending its session.
func TestResponsesThatAreNotReadKeepNoUserFromEndingSessions(t *testing.T) {
	r := newRig(t)
	u := r.user(identity.Viewer, "")
	stolen, _ := r.session(u)
	own, _ := r.session(u)
	read := make(chan struct{})
	var reading sync.WaitGroup
	for range 2 * changesAtOnce {
		slow := &unread{ResponseRecorder: httptest.NewRecorder(), began: make(chan struct{}), read: read}
		reading.Go(func() { r.serve(slow, r.patch(t.Context(), stolen, `{}`)) })
		select {
		case <-slow.began:
		case <-time.After(2 * turnWithin):
			t.Fatal("a change waits for a response that is not read")
		}
	}
	r.want(http.StatusOK, r.call("POST", "/api/v1/auth/logout-all", own, ""))
	close(read)
	reading.Wait()
	if len(r.changes.of) != 0 {
		t.Errorf("%d users are kept", len(r.changes.of))
	}
}

// A program that creates many users at once needs all places for hashing, and what waits
// there has no connection to the database.
func TestTheCreationOfUsersWaitsForPlacesOfHashingOnly(t *testing.T) {
	r := newRig(t)
	admin := r.user(identity.OrgAdmin, "")
	access, _ := r.session(admin)
	for range changesAtOnce {
		leave, err := r.changes.enter(t.Context(), identity.Actor{Kind: identity.ActorUser, ID: admin.ID})
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	created := r.want(http.StatusOK, r.call("POST", "/api/v1/auth/users", access, `{"email":"new@example.com","password":"correct horse battery"}`))
	r.want(http.StatusOK, r.call("PUT", "/api/v1/auth/users/"+created.text("id")+"/password", access, `{"new_password":"another horse battery"}`))
}

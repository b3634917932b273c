package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

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
func TestAUserHasOneListInMemoryUntilItIsRead(t *testing.T) {
	r := newRig(t)
	g := r.group("")
	admin, other := r.user(identity.Superadmin, ""), r.as(identity.OrgAdmin, "")
	first, _ := r.session(admin)
	second, _ := r.session(admin)
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
			t.Errorf("%s: a second list beside %s", paths[(i+1)%len(paths)], path)
		}
		close(slow.read)
		reading.Wait()
		if slow.Code != http.StatusOK {
			t.Errorf("%s: %d", path, slow.Code)
		}
	}
	if len(r.lists.of) != 0 {
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
	user, other := r.as(identity.Viewer, ""), r.as(identity.Viewer, "")
	change := func(ctx context.Context) *http.Request {
		req := httptest.NewRequestWithContext(ctx, "PATCH", "/api/v1/auth/me", strings.NewReader(`{"display_name":"Ada"}`))
		req.Header.Set("Authorization", "Bearer "+user)
		req.Header.Set("Content-Type", "application/json")
		return req
	}
	read := make(chan struct{})
	var reading sync.WaitGroup
	for range changesAtOnce {
		slow := &unread{ResponseRecorder: httptest.NewRecorder(), began: make(chan struct{}), read: read}
		reading.Go(func() { r.serve(slow, change(t.Context())) })
		<-slow.began
	}
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	rec := httptest.NewRecorder()
	waiting.Go(func() { r.serve(rec, change(ctx)) })
	r.want(http.StatusOK, r.call("PATCH", "/api/v1/auth/me", other, `{"display_name":"Bob"}`))
	r.want(http.StatusOK, r.call("GET", "/api/v1/auth/me", user, ""))
	r.want(http.StatusOK, r.call("GET", "/api/v1/groups", user, ""))
	cancel()
	waiting.Wait()
	if rec.Code == http.StatusOK {
		t.Errorf("%d changes at a time", changesAtOnce+1)
	}
	close(read)
	reading.Wait()
	r.want(http.StatusOK, r.call("PATCH", "/api/v1/auth/me", user, `{"display_name":"Ada"}`))
	if len(r.changes.of) != 0 {
		t.Errorf("%d users are kept", len(r.changes.of))
	}
}

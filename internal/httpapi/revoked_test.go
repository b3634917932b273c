package httpapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
)

const revokedPath = "/api/v1/auth/revoked-jtis"

// revokedSince asks for the changes since a version.
func (r *rig) revokedSince(service, since string) (list RevokedList) {
	r.t.Helper()
	path := revokedPath + "?format=sessions"
	if since != "" {
		path += "&since=" + since
	}
	a := r.want(http.StatusOK, r.call("GET", path, service, ""))
	if err := json.Unmarshal(a.raw, &list); err != nil {
		r.t.Fatalf("%v: %s", err, a.raw)
	}
	return list
}

func TestRevokedListIsNotSentAgainWhileNothingWasRevoked(t *testing.T) {
	r := newRig(t)
	service := r.serviceToken()
	tag := ""
	get := func(query string) int {
		t.Helper()
		req := httptest.NewRequest("GET", revokedPath+query, nil)
		req.Header.Set("Authorization", "Bearer "+service)
		req.Header.Set("If-None-Match", tag)
		a := r.do(req)
		if a.header.Get("Cache-Control") != "private, no-cache" || a.header.Get("Etag") == "" {
			t.Errorf("%v", a.header)
		}
		tag = a.header.Get("Etag")
		return a.status
	}
	access, _ := r.session(r.user(identity.Viewer, "default"))
	if first, second := get(""), get(""); first != http.StatusOK || second != http.StatusNotModified {
		t.Errorf("%d, then %d", first, second)
	}
	r.want(http.StatusOK, r.call("POST", "/api/v1/auth/logout", access, ""))
	if first, second := get(""), get(""); first != http.StatusOK || second != http.StatusNotModified {
		t.Errorf("after a logout %d, then %d", first, second)
	}
	if status := get("?format=sessions&since=0"); status != http.StatusNotModified {
		t.Errorf("the other form: %d", status)
	}
}

func TestRevokedListHasTheSessionsThatEndedSinceAVersion(t *testing.T) {
	r := newRig(t)
	service := r.serviceToken()
	if l := r.revokedSince(service, ""); l.Sessions == nil || len(l.Sessions) > 0 || l.Tokens == nil || len(l.Tokens) > 0 || l.Version != "0" || l.Next != "0" {
		t.Errorf("%+v", l)
	}
	user := r.user(identity.Viewer, "default")
	end := func() (sid string) {
		access, _ := r.session(user)
		r.want(http.StatusOK, r.call("POST", "/api/v1/auth/logout", access, ""))
		return claim(t, access, "sid")
	}
	first := end()
	one := r.revokedSince(service, "")
	r.ahead.Add(int64(time.Second))
	second := end()
	all := r.revokedSince(service, "")
	ids := func(sessions []RevokedSession) (ids []string) {
		for _, s := range sessions {
			ids = append(ids, s.ID)
		}
		return ids
	}
	if got := ids(all.Sessions); !slices.Equal(got, []string{first, second}) || len(all.Tokens) > 0 {
		t.Errorf("all: %+v", all)
	}
	if got := ids(r.revokedSince(service, one.Version).Sessions); !slices.Equal(got, []string{second}) {
		t.Errorf("since the first: %v", got)
	}
	// What another replica commits late is not missed: next reaches back.
	if got := ids(r.revokedSince(service, one.Next).Sessions); !slices.Equal(got, []string{first, second}) {
		t.Errorf("since next: %v", got)
	}
	if l := r.revokedSince(service, all.Version); len(l.Sessions) > 0 || l.Version != all.Version {
		t.Errorf("since now: %+v", l)
	}
	left := time.Unix(all.Sessions[0].Until, 0).Sub(r.now())
	if left < 14*time.Minute || left > 17*time.Minute {
		t.Errorf("listed for %v", left)
	}
}

// The session that changed its password continues with new tokens.
func TestRevokedListNamesTheOldTokensOfASessionThatContinues(t *testing.T) {
	r := newRig(t)
	service := r.serviceToken()
	user := r.user(identity.Viewer, "default")
	access, _ := r.session(user)
	other, _ := r.session(user)
	a := r.want(http.StatusOK, r.call("POST", "/api/v1/auth/me/password", access, `{"old_password":"`+testPassword+`","new_password":"another horse battery"}`))
	l := r.revokedSince(service, "")
	if len(l.Sessions) != 1 || l.Sessions[0].ID != claim(t, other, "sid") || len(l.Tokens) != 1 || l.Tokens[0].JTI != claim(t, access, "jti") {
		t.Errorf("%+v", l)
	}
	r.want(http.StatusOK, r.call("POST", "/api/v1/auth/logout", a.text("access_token"), ""))
	if l := r.revokedSince(service, l.Version); len(l.Sessions) != 1 || l.Sessions[0].ID != claim(t, access, "sid") {
		t.Errorf("after its logout: %+v", l)
	}
}

func TestRevokedListForgetsExpiredTokens(t *testing.T) {
	r := newRig(t)
	service := r.serviceToken()
	access, _ := r.session(r.user(identity.Viewer, "default"))
	r.want(http.StatusOK, r.call("POST", "/api/v1/auth/logout", access, ""))
	before := r.want(http.StatusOK, r.call("GET", revokedPath, service, ""))
	r.ahead.Add(int64(20 * time.Minute))
	after := r.want(http.StatusOK, r.call("GET", revokedPath, service, ""))
	if len(names(t, before, "items", "jti")) != 1 || string(after.raw) != `{"items":[]}`+"\n" || after.header.Get("Etag") == before.header.Get("Etag") {
		t.Errorf("%s, then %s", before.raw, after.raw)
	}
	if l := r.revokedSince(service, ""); len(l.Sessions)+len(l.Tokens) > 0 || l.Version == "0" {
		t.Errorf("%+v", l)
	}
}

func TestRevokedListRefusesUnknownFormatsAndVersions(t *testing.T) {
	r := newRig(t)
	service := r.serviceToken()
	for _, query := range []string{"?format=jtis", "?format=", "?format=sessions&since=yesterday", "?format=sessions&since=-1", "?format=sessions&since=1&since=2"} {
		res := r.call("GET", revokedPath+query, service, "")
		r.want(http.StatusUnprocessableEntity, res)
		if !strings.Contains(string(res.raw), `"location":"query.`) {
			t.Errorf("%s: %s", query, res.raw)
		}
	}
}

// A response is a part of a buffer that others append to.
func TestRollIsAppendedToWithoutChangingWhatWasTaken(t *testing.T) {
	var l roll
	var states []roll
	for n := range 1000 {
		states = append(states, l)
		l.add(int64(n/2), time.Unix(int64(n), 0), RevokedToken{strconv.Itoa(n)})
	}
	elements := func(text []byte) (list []RevokedToken) {
		t.Helper()
		if err := json.Unmarshal(slices.Concat([]byte("["), text, []byte("]")), &list); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return list
	}
	for n, state := range states {
		list := elements(state.from(0))
		if len(list) != n || n > 0 && (list[0].JTI != "0" || list[n-1].JTI != strconv.Itoa(n-1)) {
			t.Fatalf("state %d has %d elements", n, len(list))
		}
		if later := elements(l.since(int64(n / 2))); len(later) != 1000-2*(n/2+1) {
			t.Fatalf("since %d: %d elements", n/2, len(later))
		}
	}
	l = l.without(300)
	if list := elements(l.from(0)); len(list) != 699 || list[0].JTI != "301" {
		t.Errorf("%d elements, the first %v", len(list), list[0])
	}
	if list := elements(l.since(499)); len(list) != 0 {
		t.Errorf("%d elements after the last version", len(list))
	}
}

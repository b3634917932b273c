package httpapi

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/token"
)

const auditPath = "/api/v1/audit"

// events are the events that the query finds.
func (r *rig) events(bearer string, query url.Values) AuditPage {
	r.t.Helper()
	a := r.want(http.StatusOK, r.call(http.MethodGet, auditPath+"?"+query.Encode(), bearer, ""))
	var page AuditPage
	if err := json.Unmarshal(a.raw, &page); err != nil {
		r.t.Fatal(err)
	}
	return page
}

func TestAuditIsFilteredByEachField(t *testing.T) {
	r := newRig(t)
	root := r.as(identity.Superadmin, "default")
	admin, target := r.user(identity.OrgAdmin, "acme"), r.user(identity.Viewer, "acme")
	bearer, _ := r.session(admin)
	begin := r.now().UTC()
	r.want(http.StatusOK, r.call(http.MethodPut, "/api/v1/auth/users/"+target.ID+"/role", bearer, `"operator"`))
	r.want(http.StatusForbidden, r.call(http.MethodPut, "/api/v1/auth/users/"+target.ID+"/role", bearer, `"superadmin"`))
	r.audit.Flush()
	end := r.now().UTC().Add(time.Second)
	for name, c := range map[string]struct {
		query url.Values
		want  int
	}{
		"actor":         {url.Values{"actor": {admin.ID}, "target": {target.ID}}, 2},
		"another actor": {url.Values{"actor": {target.ID}, "target": {admin.ID}}, 0},
		"action":        {url.Values{"action": {"user.set_role"}}, 2},
		"outcome":       {url.Values{"action": {"user.set_role"}, "outcome": {"refused"}}, 1},
		"success":       {url.Values{"action": {"user.set_role"}, "outcome": {"success"}}, 1},
		"address":       {url.Values{"action": {"user.set_role"}, "address": {"192.0.2.1"}}, 2},
		"other address": {url.Values{"address": {"198.51.100.1"}}, 0},
		"from":          {url.Values{"actor": {admin.ID}, "action": {"user.set_role"}, "from": {begin.Format(time.RFC3339Nano)}}, 2},
		"to":            {url.Values{"action": {"user.set_role"}, "to": {begin.Format(time.RFC3339Nano)}}, 0},
		"from and to":   {url.Values{"action": {"user.set_role"}, "from": {begin.Format(time.RFC3339Nano)}, "to": {end.Format(time.RFC3339Nano)}}, 2},
		"not storable":  {url.Values{"actor": {"\x00"}}, 0},
		"organization":  {url.Values{"org_id": {"acme"}, "action": {"user.create"}}, 2},
	} {
		if got := r.events(root, c.query); len(got.Events) != c.want {
			t.Errorf("%s: %d events, want %d: %+v", name, len(got.Events), c.want, got.Events)
		}
	}
	first := r.events(root, url.Values{"action": {"user.set_role"}, "outcome": {"success"}}).Events[0]
	want := audit.Event{
		ID: first.ID, At: first.At, Action: identity.ActionSetRole, Outcome: "success", ActorID: admin.ID, ActorKind: identity.ActorUser,
		TargetID: target.ID, OrgID: "acme", Address: "192.0.2.1", RequestID: first.RequestID, Detail: "operator",
	}
	if diff := cmp.Diff(want, first); diff != "" || first.ID == "" || first.RequestID == "" {
		t.Error(diff)
	}
	for _, query := range []string{"?from=yesterday", "?outcome=maybe", "?limit=0", "?limit=1001", "?cursor=x", "?actor="} {
		a := r.want(http.StatusUnprocessableEntity, r.call(http.MethodGet, auditPath+query, root, ""))
		if strings.Contains(string(a.raw), "2006") {
			t.Errorf("%s: the message has a layout of Go: %s", query, a.raw)
		}
	}
}

func TestAnOrgAdminReadsTheOwnOrganizationsAuditOnly(t *testing.T) {
	r := newRig(t)
	mine, other := r.as(identity.OrgAdmin, "acme"), r.user(identity.Viewer, "other")
	r.user(identity.Viewer, "acme")
	r.want(http.StatusNotFound, r.call(http.MethodDelete, "/api/v1/auth/users/"+other.ID, mine, ""))
	r.audit.Flush()
	found := r.events(mine, nil)
	for _, ev := range found.Events {
		if ev.OrgID != "acme" {
			t.Errorf("an event of %q: %+v", ev.OrgID, ev)
		}
	}
	if len(found.Events) < 2 {
		t.Errorf("%d events", len(found.Events))
	}
	r.want(http.StatusNotFound, r.call(http.MethodGet, auditPath+"?org_id=other", mine, ""))
	if all := r.events(r.as(identity.Superadmin, "default"), url.Values{"target": {other.ID}}); len(all.Events) != 2 {
		t.Errorf("a superadmin finds %+v", all.Events)
	}
}

// Who tried what on the users of an organization is what its administrators look for.
func TestAnOrgAdminReadsRefusedActsOnTheOwnOrganization(t *testing.T) {
	r := newRig(t)
	mine, foreign := r.as(identity.OrgAdmin, "acme"), r.as(identity.OrgAdmin, "other")
	user := r.user(identity.Viewer, "acme")
	access, _ := r.session(user)
	r.want(http.StatusNotFound, r.call(http.MethodDelete, "/api/v1/auth/users/"+user.ID, foreign, ""))
	r.want(http.StatusForbidden, r.call(http.MethodPost, "/api/v1/auth/me/password", access, `{"old_password":"a wrong horse","new_password":"staple the other horse"}`))
	r.want(http.StatusForbidden, r.call(http.MethodPost, "/api/v1/auth/reauthenticate", access, `{"password":"a wrong horse"}`))
	r.audit.Flush()
	found := r.events(mine, url.Values{"target": {user.ID}, "outcome": {"refused"}})
	if len(found.Events) != 3 {
		t.Errorf("%+v", found.Events)
	}
}

func TestAuditPagesAreNewestFirstAndNeitherSkipNorRepeat(t *testing.T) {
	r := newRig(t)
	root := r.as(identity.Superadmin, "default")
	for range 7 {
		r.user(identity.Viewer, "default")
	}
	whole := r.events(root, nil)
	if whole.Next != "" || len(whole.Events) < 7 {
		t.Fatalf("%d events, next %q", len(whole.Events), whole.Next)
	}
	var paged []audit.Event
	for query := (url.Values{"limit": {"3"}}); ; {
		page := r.events(root, query)
		paged = append(paged, page.Events...)
		r.user(identity.Viewer, "default") // which must not move the pages that follow
		if page.Next == "" {
			break
		}
		query.Set("cursor", page.Next)
	}
	if diff := cmp.Diff(whole.Events, paged); diff != "" {
		t.Error(diff)
	}
}

func (r *rig) export(bearer, accept, query string) response {
	req := httptest.NewRequest(http.MethodGet, auditPath+query, nil)
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Accept", accept)
	return r.do(req)
}

func TestAnExportIsCompleteAndAFormulaInItIsText(t *testing.T) {
	r := newRig(t)
	root := r.as(identity.Superadmin, "default")
	const evil = `=HYPERLINK("http://x";1);@SUM(1)`
	if _, _, err := r.tokens.CreateServiceToken(t.Context(), system, token.NewServiceToken{Name: evil}); err != nil {
		t.Fatal(err)
	}
	r.stored(audit.MaxLimit + 5)
	rows := 0
	for query := (url.Values{"limit": {"1000"}}); ; {
		page := r.events(root, query)
		rows += len(page.Events)
		if page.Next == "" {
			break
		}
		query.Set("cursor", page.Next)
	}
	table := r.want(http.StatusOK, r.export(root, "text/csv", ""))
	cells, err := csv.NewReader(strings.NewReader(string(table.raw))).ReadAll()
	if err != nil || len(cells) != rows+1 || rows <= audit.MaxLimit {
		t.Errorf("%d lines of CSV for %d events, %v", len(cells), rows, err)
	}
	if got := table.header.Get("Content-Type"); got != "text/csv; charset=utf-8" {
		t.Errorf("Content-Type %s", got)
	}
	found := false
	for _, line := range cells {
		for _, cell := range line {
			found = found || strings.Contains(cell, "HYPERLINK")
			if strings.ContainsAny(cell[:min(1, len(cell))], "=+-@") || strings.Contains(cell, ";@") {
				t.Errorf("a cell is a formula: %s", cell)
			}
		}
	}
	if !found {
		t.Error("the name of the service token is missing")
	}
	lines := r.want(http.StatusOK, r.export(root, "application/jsonl", ""))
	decoder, n := json.NewDecoder(strings.NewReader(string(lines.raw))), 0
	for decoder.More() {
		var ev audit.Event
		if err := decoder.Decode(&ev); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != rows || !strings.Contains(string(lines.raw), `"detail":"=HYPERLINK(\"http`) {
		t.Errorf("%d lines of JSON for %d events", n, rows)
	}
	if got := r.export(root, "text/csv", "?limit=2"); strings.Count(string(got.raw), "\r\n") != 3 {
		t.Errorf("two events are %q", got.raw)
	}
}

func TestTheFormatOfTheAuditFollowsAccept(t *testing.T) {
	for header, want := range map[string]string{
		"": jsonType, "*/*": jsonType, "text/html": jsonType, "text/csv": csvType, "TEXT/CSV;q=0.9, */*": csvType,
		"application/jsonl": linesType, "application/json, text/csv": jsonType, "text/csv;q=0, */*": jsonType, "text/csv;q=0.0": jsonType, ";;,": jsonType,
	} {
		if got := accepted(header); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

func TestExportsAreBounded(t *testing.T) {
	r := newRig(t)
	root := r.as(identity.Superadmin, "default")
	for range maxExports {
		r.exports <- struct{}{}
	}
	if got := r.export(root, "text/csv", ""); got.status != http.StatusTooManyRequests {
		t.Errorf("got %d: %s", got.status, got.raw)
	}
	r.events(root, nil) // a list needs no place
	<-r.exports
	r.want(http.StatusOK, r.export(root, "text/csv", ""))
	r.want(http.StatusOK, r.export(root, "text/csv", "")) // the place was given back
	r.want(http.StatusUnprocessableEntity, r.export(root, "text/csv", "?cursor=x"))
	r.want(http.StatusOK, r.export(root, "text/csv", ""))
}

func TestAnExportThatCannotBeCompletedBreaksOff(t *testing.T) {
	r := newRig(t)
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("recovered %v", err)
		}
		if len(r.exports) != 0 {
			t.Error("the place was not given back")
		}
	}()
	root := r.as(identity.Superadmin, "default")
	r.stored(audit.MaxLimit)
	req := httptest.NewRequest(http.MethodGet, auditPath, nil)
	req.Header.Set("Authorization", "Bearer "+root)
	req.Header.Set("Accept", "text/csv")
	r.router.ServeHTTP(closing{httptest.NewRecorder(), func() { _ = r.store.Close() }}, req)
	t.Error("the response looks complete")
}

// closing is a writer that runs a function at the first write.
type closing struct {
	*httptest.ResponseRecorder
	first func()
}

func (c closing) Write(p []byte) (int, error) {
	c.first()
	return c.ResponseRecorder.Write(p)
}

// stored stores n events.
func (r *rig) stored(n int) {
	r.t.Helper()
	for range n {
		if err := r.store.InsertEvent(r.t.Context(), store.Event{Action: identity.ActionLogin, Outcome: store.OutcomeRefused, OrgID: "default"}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// noAddressIsInTheAuditLog checks the promise that a deleted user leaves an id only.
func (r *rig) noAddressIsInTheAuditLog() {
	r.t.Helper()
	r.audit.Close()
	events := 0
	for f := (audit.Filter{}); ; {
		page, next, err := r.audit.Search(r.t.Context(), system, f)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, ev := range page {
			events++
			if text := ev.CSV(); strings.Contains(text, "@") {
				r.t.Errorf("an address is in the audit log: %s", text)
			}
		}
		if f.Cursor = next; next == "" {
			break
		}
	}
	if events < 500 {
		r.t.Errorf("only %d events", events)
	}
}

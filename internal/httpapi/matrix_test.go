package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/web"
)

// callers is one column of the matrix: callers that the API must treat alike.
type callers struct {
	group, name string
	each        []func(*rig) string // the credential of each
}

// The groups of columns.
const (
	noUser       = "no user"
	ownUsers     = "own organization"
	otherUsers   = "another organization"
	ownServices  = "service tokens, own"
	otherService = "of another"
	oldSignIn    = "old login"
	demoted      = "demoted"
	exchanged    = "exch."
	forAccount   = "account"
	forAdmin     = "admin"
	deadService  = "service tokens no longer valid"
	invalid      = "no longer valid, all roles"
)

// columns are role x organization x kind of credential x status of the account.
func columns() []callers {
	list := []callers{
		{noUser, "none", []func(*rig) string{func(*rig) string { return "" }}},
		{noUser, "bad", []func(*rig) string{func(*rig) string { return "garbage" }}},
		{noUser, "rt", []func(*rig) string{func(r *rig) string { _, refresh := r.session(r.user(identity.Superadmin, "default")); return refresh }}},
	}
	for _, org := range []string{"default", "other"} {
		users, services := ownUsers, ownServices
		if org == "other" {
			users, services = otherUsers, otherService
		}
		for _, role := range identity.Roles() {
			list = append(list, callers{users, letter(role), []func(*rig) string{func(r *rig) string { return r.as(role, org) }}})
		}
		for _, role := range identity.Roles() {
			list = append(list, callers{services, letter(role), []func(*rig) string{func(r *rig) string { _, secret := r.service(role, org, nil); return secret }}})
		}
	}
	slices.SortStableFunc(list[3:], func(a, b callers) int { return groupRank(a.group) - groupRank(b.group) })
	for _, role := range []identity.Role{identity.OrgAdmin, identity.Superadmin} {
		list = append(list, callers{oldSignIn, letter(role), []func(*rig) string{func(r *rig) string { return r.signedInBefore(role) }}})
	}
	list = append(list, callers{exchanged, "S", []func(*rig) string{func(r *rig) string {
		return r.want(http.StatusOK, r.call(http.MethodPost, "/api/v1/auth/service-tokens/exchange", r.serviceToken(), "")).text("access_token")
	}}})
	for _, role := range []identity.Role{identity.Viewer, identity.Superadmin} {
		list = append(list, callers{forAccount, letter(role), []func(*rig) string{func(r *rig) string { return r.through(identity.Superadmin, role, "openid account") }}})
	}
	for _, role := range []identity.Role{identity.Operator, identity.OrgAdmin, identity.Superadmin} {
		list = append(list, callers{forAdmin, letter(role), []func(*rig) string{func(r *rig) string { return r.through(identity.Superadmin, role, "admin") }}})
	}
	list = append(list,
		callers{forAdmin, "S of O", []func(*rig) string{func(r *rig) string { return r.through(identity.Operator, identity.Superadmin, "openid admin") }}},
		callers{forAdmin, "own A", []func(*rig) string{func(r *rig) string {
			return r.ofClient(r.application(identity.OrgAdmin, "default"), identity.User{}, "", "admin", r.issuer)
		}}})
	list = append(list, callers{demoted, "V", []func(*rig) string{func(r *rig) string {
		user := r.user(identity.Superadmin, "default")
		return r.gone(user, func(string) { r.setRole(user, identity.Viewer) })
	}}})
	for _, state := range []struct {
		name  string
		token func(*rig, identity.Role) string
	}{
		{"expired", func(r *rig, role identity.Role) string {
			return r.before(r.user(role, "default"), 16*time.Minute, false)
		}},
		{"ended", func(r *rig, role identity.Role) string { return r.gone(r.user(role, "default"), r.logout) }},
		{"pw", func(r *rig, role identity.Role) string { return r.gone(r.user(role, "default"), r.changePassword) }},
		{"suspended", func(r *rig, role identity.Role) string {
			user := r.user(role, "default")
			return r.gone(user, func(string) { r.suspend(user) })
		}},
		{"organization", func(r *rig, role identity.Role) string {
			org := r.organization().ID
			return r.gone(r.user(role, org), func(string) { r.suspendOrganization(org) })
		}},
		{"deleted", func(r *rig, role identity.Role) string {
			user := r.user(role, "default")
			return r.gone(user, func(string) { r.delete(user) })
		}},
	} {
		column := callers{group: invalid, name: state.name}
		for _, role := range identity.Roles() {
			column.each = append(column.each, func(r *rig) string { return state.token(r, role) })
		}
		list = append(list, column)
	}
	return append(list,
		callers{deadService, "revoked", []func(*rig) string{func(r *rig) string {
			t, secret := r.service(identity.Superadmin, "default", nil)
			if err := r.tokens.RevokeServiceToken(context.Background(), system, "", t.Name); err != nil {
				r.t.Fatal(err)
			}
			return secret
		}}},
		callers{deadService, "expired", []func(*rig) string{func(r *rig) string {
			_, secret := r.service(identity.Superadmin, "default", new(r.now().Add(time.Second)))
			r.ahead.Add(int64(time.Second))
			return secret
		}}},
		callers{deadService, "organization", []func(*rig) string{func(r *rig) string {
			org := r.organization().ID
			_, secret := r.service(identity.Superadmin, org, nil)
			r.suspendOrganization(org)
			return secret
		}}})
}

func groupRank(group string) int {
	return slices.Index([]string{ownUsers, otherUsers, ownServices, otherService}, group)
}

func letter(role identity.Role) string {
	return map[identity.Role]string{
		identity.Viewer: "V", identity.Operator: "O", identity.OrgAdmin: "A", identity.Superadmin: "S",
	}[role]
}

// gone is the access token of a user after something happened.
func (r *rig) gone(u identity.User, happen func(access string)) string {
	access, _ := r.session(u)
	happen(access)
	return access
}

func (r *rig) logout(access string) {
	r.want(http.StatusOK, r.call(http.MethodPost, "/api/v1/auth/logout", access, ""))
}

func (r *rig) changePassword(access string) {
	r.want(http.StatusOK, r.call(http.MethodPost, "/api/v1/auth/me/password", access,
		fmt.Sprintf(`{"old_password":%q,"new_password":"staple the other horse"}`, testPassword)))
}

func (r *rig) setRole(u identity.User, role identity.Role) {
	if _, err := r.directory.SetRole(context.Background(), system, u.ID, string(role), ""); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) suspendOrganization(id string) {
	suspended := "suspended"
	if _, err := r.directory.UpdateOrganization(context.Background(), system, id, directory.OrganizationChange{Status: &suspended}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) suspend(u identity.User) {
	if _, err := r.directory.SetStatus(context.Background(), system, u.ID, "suspended", ""); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) delete(u identity.User) {
	if err := r.directory.Delete(context.Background(), system, u.ID, ""); err != nil {
		r.t.Fatal(err)
	}
}

// before is the access token of a session that began some time ago, refreshed or not.
func (r *rig) before(u identity.User, ago time.Duration, refreshed bool) string {
	r.ahead.Add(-int64(ago))
	access, refresh := r.session(u)
	r.ahead.Add(int64(ago))
	if !refreshed {
		return access
	}
	return r.want(http.StatusOK, r.call(http.MethodPost, "/api/v1/auth/refresh", "", fmt.Sprintf("%q", refresh))).text("access_token")
}

func (r *rig) signedInBefore(role identity.Role) string {
	return r.before(r.user(role, "default"), testMaxAge+time.Minute, true)
}

// row is one request of the matrix.
type row struct {
	route web.Route
	about string // what distinguishes it from other rows of the route
	make  func(*rig) (path, body string)
}

// rows are the requests: every route, and those that depend on it for several targets.
func (r *rig) rows() (rows []row) {
	for _, route := range r.Group().Routes {
		about := func(what string, target identity.Role, change func(body string) string) {
			rows = append(rows, row{route, what, func(r *rig) (string, string) {
				path, body := r.scene(route, target)
				return path, change(body)
			}})
		}
		same := func(body string) string { return body }
		with := func(field, value string) func(string) string {
			return func(body string) string { return strings.TrimSuffix(body, "}") + fmt.Sprintf(`,%q:%q}`, field, value) }
		}
		instead := func(body string) func(string) string { return func(string) string { return body } }
		switch {
		case route.ID == "set_role":
			for _, role := range identity.Roles() {
				about("viewer to "+string(role), identity.Viewer, instead(fmt.Sprintf("%q", role)))
			}
			about("superadmin to viewer", identity.Superadmin, instead(`"viewer"`))
		case route.ID == "create_user", route.ID == "create_service_token":
			for _, role := range identity.Roles() {
				about(string(role), identity.Viewer, with("role", string(role)))
			}
			about("in default", identity.Viewer, with("org_id", "default"))
		case route.ID == "update_user":
			about("profile of a viewer", identity.Viewer, same)
			about("profile of a superadmin", identity.Superadmin, same)
			about("address of a viewer", identity.Viewer, func(string) string { return fmt.Sprintf(`{"email":"%s@example.com"}`, uuid.NewString()) })
			about("organization of a viewer", identity.Viewer, instead(`{"org_id":"other"}`))
		case strings.HasPrefix(route.Pattern, "/api/v1/clients"):
			rows = append(rows, clientRows(route)...)
		case strings.Contains(route.Pattern, "/users/{id}"), strings.Contains(route.Pattern, "/service-tokens/{name}"):
			for _, role := range []identity.Role{identity.Viewer, identity.OrgAdmin, identity.Superadmin} {
				about("of "+string(role), role, same)
			}
		default:
			about("", identity.Viewer, same)
		}
	}
	return rows
}

const matrixFile = "../../docs/authorization.md"

// TestMatrix runs every route by every kind of caller. The result is compared with
// docs/authorization.md, which a reviewer reads, and the plain part of it with the rules
// of the routes.
func TestMatrix(t *testing.T) {
	r := newRig(t)
	r.user(identity.Superadmin, "default") // so that no target is the last superadmin
	r.user(identity.Viewer, "other")       // the organization must exist
	list, tokens := columns(), map[string]string{}
	if *base != "" {
		list = list[:7] // no user, and those of the own organization: the path changes no rule
	}
	var table []string
	for _, row := range r.rows() {
		var cells []string
		r.ahead.Add(int64(2 * time.Second)) // fewer unknown service tokens a minute than are limited
		path, body := row.make(r)
		for _, column := range list {
			var results []string
			for i, credential := range column.each {
				key := fmt.Sprint(column.group, column.name, i)
				if _, made := tokens[key]; !made {
					tokens[key] = credential(r)
				}
				a := r.call(row.route.Method, path, tokens[key], body)
				checkRefusal(t, row, column, a)
				if a.status < 300 && row.route.Method != http.MethodGet {
					delete(tokens, key)      // it may have ended
					path, body = row.make(r) // a refused request has changed nothing, so the next one finds its target
				}
				results = append(results, result(a))
			}
			cells = append(cells, strings.Join(slices.Compact(results), "/"))
		}
		table = append(table, line(row, list, cells))
		checkRule(t, row, list, cells)
	}
	if *base == "" {
		compareMatrix(t, strings.Join(table, "\n"), list)
	}
	r.noAddressIsInTheAuditLog()
}

// result is the cell of a response: its status, with an asterisk if a recent sign-in
// would be enough.
func result(a response) string {
	if a.text("error") == "reauthentication_required" {
		return fmt.Sprint(a.status, "*")
	}
	return fmt.Sprint(a.status)
}

// notDecided are the statuses of requests that were refused for something else than their
// caller: a row of them would say nothing.
var notDecided = []int{
	http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusTooManyRequests,
}

func checkRefusal(t *testing.T, row row, column callers, a response) {
	t.Helper()
	if a.status == http.StatusUnauthorized && !strings.HasPrefix(a.header.Get("Www-Authenticate"), "Bearer") {
		t.Errorf("%s %s as %s: no challenge", row.route.Method, row.route.Pattern, column.name)
	}
	if a.status >= 400 {
		checkProblem(t, a)
	}
	if a.status >= 500 || slices.Contains(notDecided, a.status) {
		t.Errorf("%s %s (%s) as %s %s: %d %s", row.route.Method, row.route.Pattern, row.about, column.group, column.name, a.status, a.raw)
	}
}

// checkRule repeats the rules of the routes by hand for the callers that they name.
func checkRule(t *testing.T, row row, list []callers, cells []string) {
	t.Helper()
	for i, column := range list {
		got, refused := cells[i], cells[i] >= "400"
		access := row.route.Access
		least := map[web.Access]string{web.OrgAdmin: "AS", web.Superadmin: "S"}[access]
		bad := false
		forUsers := access == web.User || access == web.UserOrRefresh || access == web.Service
		account := access == web.Account || access == web.UserProfile
		switch {
		case access == web.Anonymous:
			bad = refused
		case column.group == forAccount && account:
			bad = got == "401" || got == "403"
		case column.group == forAccount, column.group == forAdmin && (forUsers || account):
			bad = got != "403"
		case column.group == forAdmin && least != "" && (column.name == "O" || column.name == "S of O"):
			bad = got != "403" // the weaker one of both roles is operator
		case access == web.Service && (column.group == ownUsers || column.group == otherUsers || column.group == demoted), column.group == exchanged:
			bad = got != "403"
		case column.group == noUser, column.group == deadService, column.group == invalid && (access != web.UserProfile || column.name != "pw"):
			bad = got != "401"
		case (column.group == ownUsers || column.group == otherUsers || column.group == demoted) && least != "" && !strings.Contains(least, column.name):
			bad = got != "403"
		}
		if bad {
			t.Errorf("%s %s (%s) as %s %s: %s", row.route.Method, row.route.Pattern, row.about, column.group, column.name, got)
		}
	}
}

func line(row row, list []callers, cells []string) string {
	name := strings.TrimSuffix(row.route.Method+" "+row.route.Pattern, "{$}")
	if row.about != "" {
		name += "  (" + row.about + ")"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-86s", name)
	for i, column := range list {
		if i > 0 && list[i-1].group != column.group {
			b.WriteString(" |")
		}
		fmt.Fprintf(&b, " %*s", width(column), cells[i])
	}
	return strings.TrimRight(b.String(), " ")
}

func width(column callers) int { return max(4, len(column.name)) }

// compareMatrix compares the table with the one in the documentation.
func compareMatrix(t *testing.T, table string, list []callers) {
	t.Helper()
	groups, names := fmt.Sprintf("%-86s", ""), fmt.Sprintf("%-86s", "")
	for i, column := range list {
		cell := 0
		if i > 0 && list[i-1].group != column.group {
			names += " |"
			cell = 2
		}
		names += fmt.Sprintf(" %*s", width(column), column.name)
		if i == 0 || cell > 0 {
			groups = fmt.Sprintf("%-*s", len(names)-width(column), groups) + column.group
		}
	}
	want := "```\n" + strings.TrimRight(groups, " ") + "\n" + names + "\n" + table + "\n```\n"
	text, err := os.ReadFile(matrixFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), "```\n")
	_, after, ended := strings.Cut(rest, "```\n")
	if !found || !ended {
		t.Fatalf("%s has no place for the table", matrixFile)
	}
	if before+want+after == string(text) {
		return
	}
	if !*update {
		t.Errorf("%s differs from what the server does; read the change that `go test ./internal/httpapi -run Matrix -update` makes", matrixFile)
		for i, l := range strings.Split(want, "\n") {
			if !strings.Contains(string(text), l+"\n") {
				t.Logf("line %d: %s", i, l)
			}
		}
		return
	}
	if err := os.WriteFile(matrixFile, []byte(before+want+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

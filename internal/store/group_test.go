package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func TestGroupIsStoredInTheActorsOrganization(t *testing.T) {
	onEach(t, func(w *world) {
		boss := w.add("boss", identity.OrgAdmin, "acme")
		g, err := w.s.InsertGroup(w.t.Context(), act(boss), identity.Group{Name: " Ops ", Description: "d"})
		w.ok(err)
		want := identity.Group{ID: g.ID, Name: " Ops ", Description: "d", OrgID: "acme", CreatedAt: w.clock.Now(), UpdatedAt: w.clock.Now()}
		if diff := cmp.Diff(want, g); diff != "" || g.ID == "" {
			w.t.Errorf("returned (-want +got):\n%s", diff)
		}
		read, members, err := w.s.Group(w.t.Context(), by(boss), g.ID, false)
		w.ok(err)
		if diff := cmp.Diff(want, read); diff != "" || len(members) != 0 {
			w.t.Errorf("read (-want +got):\n%s", diff)
		}
		_, err = w.s.InsertGroup(w.t.Context(), act(boss), identity.Group{Name: "Ops"})
		w.refused(err, fault.Conflict, "group_exists") // equal once trimmed
		_, err = w.s.InsertGroup(w.t.Context(), act(boss), identity.Group{Name: "ops"})
		w.ok(err) // names are case-sensitive
		_, err = w.s.InsertGroup(w.t.Context(), system("seed"), identity.Group{Name: "Ops"})
		w.ok(err) // another organization
		_, err = w.s.InsertGroup(w.t.Context(), act(boss), identity.Group{Name: "x", OrgID: "default"})
		w.notFound(err)
	})
}

func TestGroupsBelongToTheirOrganization(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		boss := w.add("boss", identity.OrgAdmin, "acme")
		viewer := w.add("viewer", identity.Viewer, "acme")
		outsider := w.add("outsider", identity.OrgAdmin, "default")
		g := w.group("g", "acme")
		name := "n"
		changes := map[string]func(store.Act, string) error{
			"update": func(a store.Act, id string) error {
				_, err := w.s.UpdateGroup(w.t.Context(), a, id, &name, nil)
				return err
			},
			"add":    func(a store.Act, id string) error { return w.s.AddMember(w.t.Context(), a, id, viewer.ID) },
			"remove": func(a store.Act, id string) error { return w.s.RemoveMember(w.t.Context(), a, id, viewer.ID) },
			"delete": func(a store.Act, id string) error { return w.s.DeleteGroup(w.t.Context(), a, id) },
		}
		for name, change := range changes {
			w.t.Log(name)
			w.forbidden(change(act(viewer), g.ID))
			w.forbidden(change(act(viewer), "nothing"))
			w.notFound(change(act(outsider), g.ID))
			w.notFound(change(act(boss), "nothing"))
		}
		for _, name := range []string{"update", "add", "remove", "delete"} {
			w.ok(changes[name](act(root), g.ID))
		}
		_, _, err := w.s.Group(w.t.Context(), by(boss), g.ID, false)
		w.notFound(err)
		g = w.group("g2", "acme")
		_, _, err = w.s.Group(w.t.Context(), by(viewer), g.ID, false)
		w.ok(err)
		_, _, err = w.s.Group(w.t.Context(), by(outsider), g.ID, false)
		w.notFound(err)
		_, _, err = w.s.Group(w.t.Context(), identity.Actor{}, g.ID, false)
		w.forbidden(err)
	})
}

func TestGroupsListsTheActorsOwnOrganization(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		viewer := w.add("viewer", identity.Viewer, "acme")
		a, b, c := w.group("a", "acme"), w.group("b", "acme"), w.group("c", "default")
		for _, k := range []struct {
			actor identity.Actor
			org   string
			want  []identity.Group
		}{
			{by(viewer), "", []identity.Group{a, b}},
			{by(viewer), "acme", []identity.Group{a, b}},
			{by(root), "", []identity.Group{c}},
			{by(root), "acme", []identity.Group{a, b}},
			{by(root), "void", []identity.Group{}},
			{identity.Actor{Kind: identity.ActorSystem}, "", []identity.Group{a, b, c}},
		} {
			p, err := w.s.Groups(w.t.Context(), k.actor, store.ListFilter{OrgID: k.org})
			w.ok(err)
			if diff := cmp.Diff(store.Page[identity.Group]{Items: k.want, Total: len(k.want)}, p); diff != "" {
				w.t.Errorf("%+v %q (-want +got):\n%s", k.actor, k.org, diff)
			}
		}
		p, err := w.s.Groups(w.t.Context(), by(viewer), store.ListFilter{Limit: 1})
		w.ok(err)
		p2, err := w.s.Groups(w.t.Context(), by(viewer), store.ListFilter{Limit: 1, Cursor: p.Next})
		w.ok(err)
		if p.Items[0].ID != a.ID || p2.Items[0].ID != b.ID || p2.Next != "" || p2.Total != 2 {
			w.t.Errorf("pages: %+v %+v", p, p2)
		}
		_, err = w.s.Groups(w.t.Context(), by(viewer), store.ListFilter{OrgID: "default"})
		w.notFound(err)
		_, err = w.s.Groups(w.t.Context(), identity.Actor{}, store.ListFilter{})
		w.forbidden(err)
	})
}

func TestUpdateGroupChangesWhatIsGiven(t *testing.T) {
	onEach(t, func(w *world) {
		boss := w.add("boss", identity.OrgAdmin, "acme")
		g := w.group("old", "acme")
		w.group("taken", "acme")
		w.clock.Advance(time.Hour)
		text := func(s string) *string { return &s }
		got, err := w.s.UpdateGroup(w.t.Context(), act(boss), g.ID, nil, text("about"))
		w.ok(err)
		want := g
		want.Description, want.UpdatedAt = "about", w.clock.Now()
		if diff := cmp.Diff(want, got); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
		got, err = w.s.UpdateGroup(w.t.Context(), act(boss), g.ID, text("new"), nil)
		w.ok(err)
		want.Name = "new"
		if diff := cmp.Diff(want, got); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
		_, err = w.s.UpdateGroup(w.t.Context(), act(boss), g.ID, text("taken"), text("lost"))
		w.refused(err, fault.Conflict, "group_exists")
		read, _, err := w.s.Group(w.t.Context(), by(boss), g.ID, false)
		w.ok(err)
		if diff := cmp.Diff(want, read); diff != "" {
			w.t.Errorf("a refused change was stored (-want +got):\n%s", diff)
		}
	})
}

func TestMembershipStaysWithinTheOrganization(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		a, b := w.add("a", identity.Viewer, "acme"), w.add("b", identity.Viewer, "acme")
		g := w.group("g", "acme")
		w.ok(w.s.AddMember(w.t.Context(), act(root), g.ID, b.ID))
		joined := w.clock.Now()
		if ev := w.lastEvent(); ev.TargetID != b.ID || ev.OrgID != "acme" || ev.ActorID != root.ID {
			w.t.Errorf("audit row: %+v", ev)
		}
		w.clock.Advance(time.Second)
		w.ok(w.s.AddMember(w.t.Context(), act(root), g.ID, a.ID))
		w.refused(w.s.AddMember(w.t.Context(), act(root), g.ID, a.ID), fault.Conflict, "already_member")
		w.notFound(w.s.AddMember(w.t.Context(), act(root), g.ID, root.ID))
		w.notFound(w.s.AddMember(w.t.Context(), act(root), g.ID, "nobody"))
		_, members, err := w.s.Group(w.t.Context(), by(root), g.ID, false)
		w.ok(err)
		want := []identity.Member{{UserID: b.ID, JoinedAt: joined}, {UserID: a.ID, JoinedAt: joined.Add(time.Second)}}
		if diff := cmp.Diff(want, members); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
		if got := w.login(a, "t").Groups; !cmp.Equal(got, []string{g.ID}) {
			w.t.Errorf("groups at login: %v", got)
		}
		w.ok(w.s.RemoveMember(w.t.Context(), act(root), g.ID, a.ID))
		w.notFound(w.s.RemoveMember(w.t.Context(), act(root), g.ID, a.ID))
		next, err := w.rotate("t", "t2")
		w.ok(err)
		if next.Groups == nil || len(next.Groups) != 0 {
			w.t.Errorf("groups at refresh: %#v", next.Groups)
		}
	})
}

func TestDeletingAGroupDropsItsMemberships(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "acme")
		g := w.group("g", "acme")
		w.ok(w.s.AddMember(w.t.Context(), system("add"), g.ID, u.ID))
		w.ok(w.s.DeleteGroup(w.t.Context(), system("delete"), g.ID))
		if got := w.login(u, "t").Groups; len(got) != 0 {
			w.t.Errorf("groups: %v", got)
		}
	})
}

func TestAUserIsInABoundedNumberOfGroups(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		clock := storetest.NewClock()
		w := &world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(clock)), clock: clock}
		u := w.add("u", identity.Viewer, "acme")
		w.joinMany(url, u, store.MaxGroups)
		w.refused(w.s.AddMember(w.t.Context(), system("add"), w.group("more", "acme").ID, u.ID), fault.Conflict, "too_many_groups")
		if n := len(w.login(u, "t").Groups); n != store.MaxGroups {
			w.t.Errorf("%d groups", n)
		}
	})
}

// joinMany makes the user a member of n new groups of acme.
func (w *world) joinMany(url string, u identity.User, n int) {
	w.t.Helper()
	w.group("first", "acme") // it makes the organization
	var groups, members strings.Builder
	for i := range n {
		fmt.Fprintf(&groups, ", ('g%d', 'n%[1]d', 'n%[1]d', '', 'acme', '', '')", i)
		fmt.Fprintf(&members, ", ('g%d', '%s', '')", i, u.ID)
	}
	storetest.Exec(w.t, url, "INSERT INTO groups (id, name, name_key, description, org_id, created_at, updated_at) VALUES "+groups.String()[2:]+
		"; INSERT INTO group_members (group_id, user_id, joined_at) VALUES "+members.String()[2:])
}

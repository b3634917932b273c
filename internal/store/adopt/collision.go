package adopt

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// unique is one of our unique keys that the original did not have.
type unique struct {
	kind          string // continues "2 "
	table, column string
	key           func(name string) string
	rename        func(n int) (before, after string) // what the n-th of the rows of one key gets
}

// entry is a row that has a unique key.
type entry struct {
	label, id, name string
	scope           string // the key is unique within
}

// findCollisions lists all rows that one of our unique keys would refuse, and the SQL
// that renames all of them but the first: the one that is used most.
func (t *translator) findCollisions() {
	numbered := func(n int) (before, after string) { return "", " (" + strconv.Itoa(n) + ")" }
	t.collide(unique{
		kind:  "users have the same e-mail address once upper and lower case and spelling variants are the same",
		table: "users", column: "email", key: identity.EmailKey,
		rename: func(n int) (before, after string) { return strconv.Itoa(n) + "-", "" },
	}, t.usersByUse())
	t.collide(unique{
		kind:  "groups of one organization have the same name",
		table: "groups", column: "name", key: identity.GroupKey, rename: numbered,
	}, t.groupsByUse())
	t.collide(unique{
		kind:  "active service tokens have the same name",
		table: "service_tokens", column: "name", key: identity.GroupKey, rename: numbered,
	}, t.activeTokens())
	slices.Sort(t.collisions)
}

func (t *translator) collide(u unique, entries []entry) {
	type key struct{ scope, name string }
	rows := make(map[key][]entry)
	for _, e := range entries {
		k := key{e.scope, u.key(e.name)}
		rows[k] = append(rows[k], e)
	}
	taken := make(map[key]bool)
	for k := range rows {
		taken[k] = true
	}
	for _, k := range slices.SortedFunc(maps.Keys(rows), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.scope, b.scope), cmp.Compare(a.name, b.name))
	}) {
		same := rows[k]
		if len(same) < 2 {
			continue
		}
		var labels []string
		n := 1
		for i, e := range same {
			labels = append(labels, e.label)
			if i == 0 {
				continue
			}
			var before, after string
			for free := false; !free; {
				n++
				before, after = u.rename(n)
				renamed := key{e.scope, u.key(before + e.name + after)}
				free = !taken[renamed]
				taken[renamed] = true
			}
			t.resolve(u, e.id, before, after)
		}
		t.collisions = append(t.collisions, fmt.Sprintf("%d %s: %s", len(same), u.kind, strings.Join(labels, ", ")))
	}
}

// resolve adds a statement that both engines understand. A key that cannot be typed gets none.
func (t *translator) resolve(u unique, id, before, after string) {
	if strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return
	}
	value := u.column
	if before != "" {
		value = quote(before) + " || " + value
	}
	if after != "" {
		value += " || " + quote(after)
	}
	t.resolving = append(t.resolving, fmt.Sprintf("UPDATE %s SET %s = %s WHERE id = %s;", u.table, u.column, value, quote(id)))
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// usersByUse lists active users before suspended ones, then those who signed in last.
func (t *translator) usersByUse() (entries []entry) {
	users := slices.Clone(t.users)
	slices.SortStableFunc(users, func(a, b identity.User) int {
		return cmp.Or(cmp.Compare(a.Status, b.Status), b.LastLoginAt.Compare(a.LastLoginAt), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	for _, u := range users {
		entries = append(entries, entry{label: fmt.Sprintf("%q (id %q)", u.Email, u.ID), id: u.ID, name: u.Email})
	}
	return entries
}

// groupsByUse lists the groups with the most members first.
func (t *translator) groupsByUse() (entries []entry) {
	members := make(map[string]int)
	for _, m := range t.members {
		members[m.groupID]++
	}
	groups := slices.Clone(t.groups)
	slices.SortStableFunc(groups, func(a, b identity.Group) int {
		return cmp.Or(cmp.Compare(members[b.ID], members[a.ID]), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	for _, g := range groups {
		entries = append(entries, entry{label: fmt.Sprintf("%q (id %q, organization %q)", g.Name, g.ID, g.OrgID), id: g.ID, name: g.Name, scope: g.OrgID})
	}
	return entries
}

// activeTokens lists the oldest service tokens first.
func (t *translator) activeTokens() (entries []entry) {
	tokens := slices.DeleteFunc(slices.Clone(t.serviceTokens), func(s adoptedService) bool { return !s.RevokedAt.IsZero() })
	slices.SortStableFunc(tokens, func(a, b adoptedService) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	for _, s := range tokens {
		entries = append(entries, entry{label: fmt.Sprintf("%q (id %q)", s.Name, s.ID), id: s.ID, name: s.Name})
	}
	return entries
}

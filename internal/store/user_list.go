package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// maxFound is where the total of a search stops counting: the matches of one letter
// may be most users.
const maxFound = 1000

var errNoSort = fault.BadField("sort", "sort must be one of "+strings.Join(UserSorts(), ", "))

// UserSorts are the values of ListFilter.Sort for users; the first is the default.
// last_login_at is none of them: its index would make each login slower.
func UserSorts() []string {
	return []string{"created_at", "-created_at", "email", "-email", "display_name", "-display_name"}
}

// Users lists the users of f.OrgID; if it is empty, of the organizations that
// the actor administers. Only administrators may.
//
// A search without f.Sort lists first the users whose address begins with f.Query,
// in the order of addresses, then the others whose name does, in the order of names.
func (s *Store) Users(ctx context.Context, by identity.Actor, f ListFilter) (p Page[identity.User], err error) {
	err = s.listing(ctx, func(t *tx) error {
		of, err := t.listed(by, f.OrgID, "user")
		if err != nil {
			return err
		}
		l, err := s.userList(f)
		if err != nil {
			return err
		}
		l.within("u.org_id", of)
		if f.EmailKey != "" {
			l.only("u.email_key", f.EmailKey)
		}
		if f.Query == "" {
			p, err = l.page(t, f)
		} else {
			p, err = s.search(t, l, f)
		}
		return err
	})
	return p, err
}

// listed returns what a list for administrators is about.
func (t *tx) listed(by identity.Actor, wanted, what string) (scope, error) {
	of := scope{org: wanted, all: wanted == ""}
	err := t.permit(by, func(actor identity.Principal) error {
		switch {
		case of.all && actor.Role == identity.Superadmin:
			return identity.MayAdminister(actor, actor.OrgID, what)
		case of.all:
			of = scope{org: actor.OrgID}
		}
		return identity.MayAdminister(actor, of.org, what)
	})
	return of, err
}

type userList = list[identity.User]

// userList is the list of all users in the order of f.Sort, of one role and status.
func (s *Store) userList(f ListFilter) (l userList, err error) {
	l = userList{
		columns: userColumns, from: userTables, counted: "users u", alias: "u", scan: scanUser, totals: &s.totals,
		key: func(u identity.User) (time.Time, string) { return u.CreatedAt, u.ID },
	}
	if l.order, err = s.userOrder(f.Sort); err != nil {
		return l, err
	}
	if strings.HasSuffix(f.Sort, "display_name") {
		l.where = append(l.where, "u.name_key IS NOT NULL") // see CompleteUsers
	}
	// These are literals, so that the partial indexes of few users are found.
	if f.Role != "" {
		role, err := identity.ParseRole(string(f.Role))
		if err != nil {
			return l, err
		}
		l.where = append(l.where, "u.role = '"+string(role)+"'")
	}
	if f.Status != "" {
		if !f.Status.Valid() {
			return l, fault.BadField("status", "status must be one of active, suspended")
		}
		l.where = append(l.where, "u.status = '"+string(f.Status)+"'")
	}
	return l, nil
}

// userOrder is the order that a value of UserSorts names.
func (s *Store) userOrder(sort string) (o order[identity.User], err error) {
	column, descending := strings.CutPrefix(sort, "-")
	o.name, o.descending = sort, descending
	switch column {
	case "", "created_at":
		if !descending {
			return order[identity.User]{}, nil
		}
		o.column = "u.created_at"
		o.key = func(u identity.User) (string, string) { return FormatTime(u.CreatedAt), u.ID }
	case "email":
		o.column = s.bytewise("u.email_key")
		o.key = func(u identity.User) (string, string) { return u.EmailKey, u.ID }
	case "display_name":
		o.column = s.bytewise("u.name_key")
		o.key = func(u identity.User) (string, string) { return identity.NameKey(u.DisplayName), u.ID }
	default:
		err = errNoSort
	}
	return o, err
}

func (s *Store) bytewise(column string) string { return column + " " + bytewise(s.target.Engine) }

// search returns a page of the users whose address or name begins with f.Query.
func (s *Store) search(t *tx, l userList, f ListFilter) (p Page[identity.User], err error) {
	email, name := identity.SearchKeys(f.Query)
	addressed, named := l.copied(), l.copied()
	inEmail := named.prefix(s.bytewise("u.email_key"), email)
	inName := named.prefix(s.bytewise("u.name_key"), name)
	named.where = append(named.where, inName, "NOT ("+inEmail+")")
	addressed.where = append(addressed.where, addressed.prefix(s.bytewise("u.email_key"), email))
	addressed.order, _ = s.userOrder("email")
	named.order, _ = s.userOrder("display_name")
	for _, part := range []*userList{&addressed, &named} {
		if p.Total == maxFound {
			break // the names of those who were found by their address would all be passed over
		}
		n, err := part.found(t)
		if err != nil {
			return p, err
		}
		p.Total = min(p.Total+n, maxFound)
	}
	switch {
	case f.Sort == "":
		p.Items, p.Next, err = inTurn(t, f, &addressed, &named)
	case p.Total < maxFound: // few: they are read and sorted
		l.from = fmt.Sprintf("(SELECT u.id FROM users u%s UNION ALL SELECT u.id FROM users u%s LIMIT %d) AS found CROSS JOIN %s",
			addressed.condition(), named.condition(), maxFound, userTables)
		l.where, l.args = []string{"u.id = found.id"}, named.args // the first arguments are those of addressed
		p.Items, p.Next, err = l.next(t, f)
	default: // many: the order of the list soon finds a page of them
		l.args = named.args
		l.where = append(l.where, "("+inEmail+" OR "+inName+")")
		p.Items, p.Next, err = l.next(t, f)
	}
	return p, err
}

// found counts the rows, at most maxFound. The order makes the engines read the range
// of an index: PostgreSQL would rather read the table until it has found enough.
func (l *list[T]) found(t *tx) (n int, err error) {
	_, err = t.get([]any{&n}, fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 AS one FROM %s%s ORDER BY %s LIMIT %d) AS found", l.counted, l.condition(), l.order.column, maxFound), l.args...)
	return n, err
}

// inTurn returns a page of the first list and, when that ends, of the second.
func inTurn[T any](t *tx, f ListFilter, first, second *list[T]) (items []T, next string, err error) {
	size, lists := pageSize(f.Limit), []*list[T]{first, second}
	after, ok := first.after(f.Cursor)
	if !ok {
		if after, ok = second.after(f.Cursor); !ok {
			return nil, "", errBadCursor
		}
		lists = lists[1:]
	}
	items = []T{}
	for _, l := range lists {
		if len(items) == size { // the first list filled the page and ended
			more, _, err := l.rows(t, nil, 1)
			if len(more) > 0 {
				next = first.cursor(items[size-1])
			}
			return items, next, err
		}
		found, next, err := l.rows(t, after, size-len(items))
		items = append(items, found...)
		if err != nil || next != "" {
			return items, next, err
		}
		after = nil
	}
	return items, "", nil
}

// Standing is a user and what an administrator asks about them.
type Standing struct {
	identity.User
	Groups   []identity.Group // first created first, never nil
	Sessions int              // that go on
}

// Standing returns a user whom the actor administers.
func (s *Store) Standing(ctx context.Context, by identity.Actor, userID string) (st Standing, err error) {
	err = s.listing(ctx, func(t *tx) error {
		st.User, err = t.target(by, userID, func(actor, target identity.Principal) error {
			return identity.MayAdminister(actor, target.OrgID, "user")
		})
		if err != nil {
			return err
		}
		if err := t.readMetadata(&st.User); err != nil {
			return err
		}
		st.Groups, err = collect(t, scanGroup, "SELECT "+groupColumns+` FROM groups g JOIN group_members m ON m.group_id = g.id
			WHERE m.user_id = $1 ORDER BY g.created_at, g.id`, userID)
		if err != nil {
			return err
		}
		_, err = t.get([]any{&st.Sessions}, `SELECT COUNT(*) FROM sessions s
			WHERE s.user_id = $1 AND s.ended_at IS NULL AND s.idle_expires_at > $2 AND s.expires_at > $2`, userID, t.stamp())
		return err
	})
	return st, err
}

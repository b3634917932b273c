package store

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
)

var errBadCursor = fault.BadField("cursor", "cursor is not one that this list returned")

func pageSize(limit int) int {
	if limit <= 0 || limit > MaxPage {
		return MaxPage
	}
	return limit
}

// list is a query that can be paged: its rows have created_at and id.
type list[T any] struct {
	columns string // what scan reads
	from    string // tables and joins
	alias   string // of the table that is listed
	scan    func(scanner) (T, error)
	key     func(T) (createdAt time.Time, id string)

	where []string
	args  []any
}

// scope is the organization that a list is about, or all of them. An adopted
// organization may have an empty id, which must not stand for all.
type scope struct {
	org string
	all bool
}

// within narrows the list to rows of the scope, whose organization is in column.
func (l *list[T]) within(column string, of scope) {
	if !of.all {
		l.only(column, of.org)
	}
}

// only narrows the list to rows whose column has the value.
func (l *list[T]) only(column, value string) {
	l.args = append(l.args, value)
	l.where = append(l.where, column+" = $"+strconv.Itoa(len(l.args)))
}

func (l *list[T]) condition() string {
	if len(l.where) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(l.where, " AND ")
}

// page returns one page in order of creation. It uses keys rather than offsets:
// each page costs the same, and no row is duplicated or skipped when rows are
// added or deleted between two pages.
func (l *list[T]) page(t *tx, f ListFilter) (Page[T], error) {
	var p Page[T]
	if _, err := t.get([]any{&p.Total}, "SELECT COUNT(*) FROM "+l.from+l.condition(), l.args...); err != nil {
		return Page[T]{}, err
	}
	if f.Cursor != "" {
		at, id, ok := parseCursor(f.Cursor)
		if !ok {
			return Page[T]{}, errBadCursor
		}
		l.args = append(l.args, at, id)
		l.where = append(l.where, fmt.Sprintf("(%[1]s.created_at, %[1]s.id) > ($%[2]d, $%[3]d)", l.alias, len(l.args)-1, len(l.args)))
	}
	size := pageSize(f.Limit)
	l.args = append(l.args, size+1) // one more shows whether there is a next page
	query := fmt.Sprintf("SELECT %[1]s FROM %[2]s%[3]s ORDER BY %[4]s.created_at, %[4]s.id LIMIT $%[5]d",
		l.columns, l.from, l.condition(), l.alias, len(l.args))
	items, err := collect(t, l.scan, query, l.args...)
	if err != nil {
		return Page[T]{}, err
	}
	if len(items) > size {
		items = items[:size]
		p.Next = newCursor(l.key(items[size-1]))
	}
	p.Items = items
	return p, nil
}

func newCursor(createdAt time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(FormatTime(createdAt) + id))
}

// parseCursor parses what newCursor made; the input is untrusted.
func parseCursor(cursor string) (createdAt, id string, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) <= len(timeLayout) {
		return "", "", false
	}
	createdAt, id = string(raw[:len(timeLayout)]), string(raw[len(timeLayout):])
	_, err = parseTime(createdAt)
	return createdAt, id, err == nil
}

package store

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

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
	counted string // the tables that the conditions are about; empty: from
	alias   string // of the table that is listed
	scan    func(scanner) (T, error)
	key     func(T) (createdAt time.Time, id string)
	order   order[T] // the zero order: first created first
	totals  *totals  // nil: each total is counted

	where []string
	args  []any
}

// order is the order of a list other than that of creation: by the column, and
// then by id.
type order[T any] struct {
	name       string // tells its cursors from those of other orders
	column     string
	descending bool
	key        func(T) (key, id string)
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

// page returns one page in the list's order. It uses keys rather than offsets: each
// page costs the same, and no row is duplicated or skipped when rows are added or
// deleted between two pages.
func (l *list[T]) page(t *tx, f ListFilter) (p Page[T], err error) {
	if p.Total, err = l.total(t); err != nil {
		return Page[T]{}, err
	}
	p.Items, p.Next, err = l.next(t, f)
	return p, err
}

// next returns the rows that follow f.Cursor, and the next cursor.
func (l *list[T]) next(t *tx, f ListFilter) (items []T, next string, err error) {
	keys, ok := l.after(f.Cursor)
	if !ok {
		return nil, "", errBadCursor
	}
	return l.rows(t, keys, pageSize(f.Limit))
}

// rows returns up to size rows after those keys, and the cursor of the next ones.
func (l list[T]) rows(t *tx, after []string, size int) (items []T, next string, err error) {
	by, compare, direction := l.orderBy()
	if after != nil {
		l.args = append(l.args, after[0], after[1])
		l.where = append(l.where, fmt.Sprintf("(%s, %s.id) %s ($%d, $%d)", by, l.alias, compare, len(l.args)-1, len(l.args)))
	}
	l.args = append(l.args, size+1) // one more shows whether there is a next page
	query := fmt.Sprintf("SELECT %[1]s FROM %[2]s%[3]s ORDER BY %[4]s%[5]s, %[6]s.id%[5]s LIMIT $%[7]d",
		l.columns, l.from, l.condition(), by, direction, l.alias, len(l.args))
	if items, err = collect(t, l.scan, query, l.args...); err != nil {
		return nil, "", err
	}
	if len(items) > size {
		items = items[:size]
		next = l.cursor(items[size-1])
	}
	return items, next, nil
}

// orderBy returns the column that the list is sorted by, how the keys of later rows
// compare, and the direction in SQL.
func (l *list[T]) orderBy() (column, compare, direction string) {
	column = l.order.column
	if column == "" {
		column = l.alias + ".created_at"
	}
	if l.order.descending {
		return column, "<", " DESC"
	}
	return column, ">", ""
}

// total counts the rows on all pages.
func (l *list[T]) total(t *tx) (n int, err error) {
	query := "SELECT COUNT(*) FROM " + cmp.Or(l.counted, l.from) + l.condition()
	key := fmt.Sprintln(append([]any{query}, l.args...)...)
	if n, ok := l.totals.recent(key, t.now); ok {
		return n, nil
	}
	_, err = t.get([]any{&n}, query, l.args...)
	if err == nil {
		l.totals.keep(key, n, t.now)
	}
	return n, err
}

// totals keeps large totals for a moment: counting a million rows takes longer than
// the page. Small ones are counted each time. nil keeps none.
type totals struct {
	mu   sync.Mutex
	kept map[string]keptTotal
}

type keptTotal struct {
	n  int
	at time.Time
}

const (
	largeTotal    = 10_000
	totalLifetime = 10 * time.Second
	mostTotals    = 100
)

func (c *totals) recent(key string, now time.Time) (int, bool) {
	if c == nil {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.kept[key]
	return last.n, ok && now.Sub(last.at) < totalLifetime
}

func (c *totals) keep(key string, n int, now time.Time) {
	if c == nil || n < largeTotal {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil || len(c.kept) >= mostTotals {
		c.kept = map[string]keptTotal{}
	}
	c.kept[key] = keptTotal{n, now}
}

// copied is a list that can be narrowed apart from l.
func (l *list[T]) copied() list[T] {
	c := *l
	c.where, c.args = slices.Clip(l.where), slices.Clip(l.args)
	return c
}

// prefix adds the arguments of the condition that it returns: the column, in a
// bytewise collation, begins with text.
func (l *list[T]) prefix(column, text string) string {
	l.args = append(l.args, text)
	condition := fmt.Sprintf("%s >= $%d", column, len(l.args))
	if end := successor(text); end != "" {
		l.args = append(l.args, end)
		condition += fmt.Sprintf(" AND %s < $%d", column, len(l.args))
	}
	return condition
}

// successor is the first text in bytewise order after all that begin with s;
// empty: there is none.
func successor(s string) string {
	runes := []rune(s)
	for i, last := range slices.Backward(runes) {
		next := last + 1
		if next == 0xd800 {
			next = 0xe000 // surrogates are not text
		}
		if next <= utf8.MaxRune {
			return string(append(runes[:i], next))
		}
	}
	return ""
}

func (l *list[T]) cursor(last T) string {
	if l.order.name == "" {
		return newCursor(l.key(last))
	}
	key, id := l.order.key(last)
	return base64.RawURLEncoding.EncodeToString([]byte(l.order.name + "\x00" + key + "\x00" + id))
}

// after returns the keys of a cursor of this list, nil of an empty one; the input is
// untrusted.
func (l *list[T]) after(cursor string) (keys []string, ok bool) {
	if cursor == "" {
		return nil, true
	}
	if l.order.name == "" {
		at, id, ok := parseCursor(cursor)
		return []string{at, id}, ok
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	parts := strings.Split(string(raw), "\x00")
	if err != nil || len(parts) != 3 || parts[0] != l.order.name || !utf8.Valid(raw) {
		return nil, false
	}
	return parts[1:], true
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

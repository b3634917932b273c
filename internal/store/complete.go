package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// CheckComplete refuses a database whose recorded version requires a table, a
// column or a setting that was removed by hand: later it would cause an error
// without a reason. Two statements, which read no rows but settings.
func CheckComplete(ctx context.Context, q engine.Querier) error {
	var none int
	if err := q.QueryRowContext(ctx, everyColumn()).Scan(&none); err != nil {
		if engine.IsNoTable(err) || engine.IsNoColumn(err) {
			return incomplete(fmt.Sprintf("lacks a table or a column of its schema version %d", SchemaVersion), err)
		}
		return err
	}
	var settings int
	err := q.QueryRowContext(ctx, "SELECT COUNT(*) FROM settings WHERE key IN ($1, $2)", settingGuard, settingKeySet).Scan(&settings)
	if err == nil && settings != 2 {
		return incomplete(fmt.Sprintf("lacks %q or %q in its table settings", settingGuard, settingKeySet), nil)
	}
	return err
}

// everyColumn returns a query that names all columns of all tables and reads nothing.
func everyColumn() string {
	var b strings.Builder
	b.WriteString("SELECT COUNT(*) FROM (SELECT holder AS one FROM leases WHERE 1 = 0")
	for _, t := range Tables() {
		fmt.Fprintf(&b, " UNION ALL SELECT one FROM (SELECT 'x' AS one, %s FROM %s) AS t WHERE 1 = 0", strings.Join(t.Columns, ", "), t.Name)
	}
	b.WriteString(") AS every")
	return b.String()
}

func incomplete(what string, cause error) error {
	return fault.Wrap(fault.Invalid, "database_incomplete",
		"the database "+what+"; it was changed by hand or is half restored: restore a backup", cause)
}

package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// Copied is the result for one table.
type Copied struct {
	Table    string
	Rows     int64
	Checksum string // order-independent, over all columns; equal on both sides
}

// eachRow reads a whole table. A value is nil, a string or an int64, so that
// both engines return the same.
func eachRow(ctx context.Context, q engine.Querier, t store.Table, do func(row []any) error) (err error) {
	rows, err := q.QueryContext(ctx, "SELECT "+strings.Join(t.Columns, ", ")+" FROM "+t.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row, dest := make([]any, len(t.Columns)), make([]any, len(t.Columns))
	for i := range row {
		dest[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		for i, v := range row {
			if b, ok := v.([]byte); ok {
				row[i] = string(b)
			}
		}
		if err := do(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// digest counts the rows of a table and adds up their hashes, byte by byte
// without carry, so that the order in which an engine returns them does not
// matter. Every table has a primary key: no two rows are equal and cancel out.
func digest(ctx context.Context, q engine.Querier, t store.Table) (Copied, error) {
	var sum [sha256.Size]byte
	var text []byte
	d := Copied{Table: t.Name}
	err := eachRow(ctx, q, t, func(row []any) error {
		text = text[:0]
		for _, v := range row {
			value := fmt.Sprint(v)
			if v == nil {
				value = "\x00" // no stored text has a NUL
			}
			text = fmt.Appendf(text, "%d:%s", len(value), value)
		}
		for i, b := range sha256.Sum256(text) {
			sum[i] += b
		}
		d.Rows++
		return nil
	})
	d.Checksum = hex.EncodeToString(sum[:])
	return d, err
}

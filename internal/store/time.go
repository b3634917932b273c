package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// timeLayout has a fixed width and zone, so that times sort as text.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// FormatTime is how a time is stored.
func FormatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// FormatOptional is FormatTime, with NULL for the zero time.
func FormatOptional(t time.Time) sql.NullString {
	return sql.NullString{String: FormatTime(t), Valid: !t.IsZero()}
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s) // for which package time has a fast parser
	if err == nil && (len(s) != len(timeLayout) || s[len(s)-1] != 'Z') {
		err = errors.New("it has another width or zone")
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("stored time is malformed: %w", err)
	}
	return t, nil
}

// timeColumn scans a stored time; NULL becomes the zero time.
type timeColumn struct{ to *time.Time }

// Scan implements sql.Scanner.
func (c timeColumn) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*c.to = time.Time{}
		return nil
	case string:
		t, err := parseTime(v)
		*c.to = t
		return err
	default:
		return fmt.Errorf("stored time has type %T", src)
	}
}

// countColumn scans an integer without the conversion to text and back that
// database/sql makes.
type countColumn struct{ to *int64 }

// Scan implements sql.Scanner.
func (c countColumn) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("stored count has type %T", src)
	}
	*c.to = n
	return nil
}

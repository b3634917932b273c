package store

import (
	"testing"
	"time"
)

func TestTimesSortAsText(t *testing.T) {
	var column timeColumn
	if err := column.Scan([]byte("x")); err == nil {
		t.Error("bytes are no time")
	}
	for _, other := range []string{"", "2026-11-22 10:00:00", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00.1+00:00", "2026-11-22T10:00:00.0000000Z"} {
		if _, err := parseTime(other); err == nil {
			t.Errorf("%q was read: a time of another form", other)
		}
	}
	at := time.Date(2026, 11, 22, 10, 0, 0, 123456000, time.UTC)
	if got, err := parseTime(FormatTime(at)); err != nil || got != at {
		t.Errorf("%v was read as %v, %v", at, got, err)
	}
}

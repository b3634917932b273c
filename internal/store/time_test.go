package store

import "testing"

func TestTimesSortAsText(t *testing.T) {
	var column timeColumn
	if err := column.Scan([]byte("x")); err == nil {
		t.Error("bytes are no time")
	}
	if _, err := parseTime("2026-11-22 10:00:00"); err == nil {
		t.Error("a time of another form was read")
	}
}

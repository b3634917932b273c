package adopt

import (
	"errors"
	"strings"
	"time"
)

// errLegacyTime means that a text is no time that the original could have
// written or read.
var errLegacyTime = errors.New("not an ISO 8601 time")

// parseLegacyTime parses a time as the original wrote it, Python's
// datetime.isoformat(), and the similar forms that its reader, Python's
// datetime.fromisoformat(), accepted too: a date alone, a space for the T, no
// seconds, a fraction of any length (truncated to microseconds), Z or an offset with
// or without colons. Without an offset it is UTC. The result is in UTC and in
// the years 1 to 9999, so that it sorts as text.
func parseLegacyTime(s string) (time.Time, error) {
	day, rest := s, ""
	if len(s) > len(time.DateOnly) {
		day, rest = s[:len(time.DateOnly)], s[len(time.DateOnly):]
	}
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return time.Time{}, errLegacyTime
	}
	if rest != "" {
		if !strings.ContainsRune("Tt ", rune(rest[0])) {
			return time.Time{}, errLegacyTime
		}
		sinceMidnight, err := parseClock(rest[1:])
		if err != nil {
			return time.Time{}, errLegacyTime
		}
		t = t.Add(sinceMidnight)
	}
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, errLegacyTime
	}
	return t, nil
}

// parseClock returns a time of day, with an optional offset from UTC, as the
// time since midnight UTC. It is negative or longer than a day if the offset
// leads to another date.
func parseClock(s string) (time.Duration, error) {
	if local, found := strings.CutSuffix(strings.ToUpper(s), "Z"); found {
		return parseHours(local)
	}
	i := strings.IndexAny(s, "+-")
	if i < 0 {
		return parseHours(s)
	}
	local, err := parseHours(s[:i])
	if err != nil {
		return 0, err
	}
	offset, err := parseHours(s[i+1:])
	if s[i] == '-' {
		offset = -offset
	}
	return local - offset, err
}

// parseHours parses hours with optional minutes, seconds and a fraction of them,
// to the microsecond.
func parseHours(s string) (time.Duration, error) {
	whole := s
	if i := strings.IndexAny(s, ".,"); i >= 0 {
		whole = s[:i]
	}
	for _, layout := range []string{"15:04:05", "15:04", "15", "150405", "1504"} {
		// time.Parse accepts one digit for two, and a fraction only after seconds.
		if len(whole) != len(layout) {
			continue
		}
		t, err := time.Parse(layout, s)
		if err != nil {
			return 0, errLegacyTime
		}
		midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
		return t.Sub(midnight).Truncate(time.Microsecond), nil
	}
	return 0, errLegacyTime
}

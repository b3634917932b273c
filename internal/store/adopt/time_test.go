package adopt

import (
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
)

func TestParseLegacyTimeReadsWhatPythonWroteAndRead(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-22T00:03:36.556012+00:00":    "2026-11-22T00:03:36.556012Z",
		"2026-11-22T00:03:36+00:00":           "2026-11-22T00:03:36.000000Z", // isoformat leaves a zero fraction out
		"2026-11-22T00:03:36.556012":          "2026-11-22T00:03:36.556012Z", // naive is UTC
		"2026-11-22T00:03:36Z":                "2026-11-22T00:03:36.000000Z",
		"2026-11-22t00:03:36z":                "2026-11-22T00:03:36.000000Z",
		"2026-11-22 00:03:36.5+00:00":         "2026-11-22T00:03:36.500000Z",
		"2026-11-22T01:00:00+02:00":           "2026-11-21T23:00:00.000000Z",
		"2026-11-22T23:30:00-01:30":           "2026-11-23T01:00:00.000000Z",
		"2026-11-22T01:00:00+0530":            "2026-11-21T19:30:00.000000Z",
		"2026-11-22T01:00:00+05":              "2026-11-21T20:00:00.000000Z",
		"2026-11-22T01:00:00+00:00:30.000001": "2026-11-22T00:59:29.999999Z",
		"2026-11-22T01:02":                    "2026-11-22T01:02:00.000000Z",
		"2026-11-22T01":                       "2026-11-22T01:00:00.000000Z",
		"2026-11-22T010203.123456789+00:00":   "2026-11-22T01:02:03.123456Z",
		"2026-11-22T01:02:03,25":              "2026-11-22T01:02:03.250000Z",
		"2026-11-22":                          "2026-11-22T00:00:00.000000Z",
		"2024-02-29T23:59:59.999999+00:00":    "2024-02-29T23:59:59.999999Z",
		"0001-01-01T00:00:00+00:00":           "0001-01-01T00:00:00.000000Z",
		"9999-12-31T23:59:59.999999+00:00":    "9999-12-31T23:59:59.999999Z",
	} {
		got, err := parseLegacyTime(text)
		if err != nil || store.FormatTime(got) != want {
			t.Errorf("parseLegacyTime(%q) = %s, %v; want %s", text, store.FormatTime(got), err, want)
		}
	}
}

func TestParseLegacyTimeRefusesWhatIsNoTime(t *testing.T) {
	for _, text := range []string{
		"", " ", "now", "1763769816", "2026-11-22T", "2026-11-22T24:00:00", "2026-11-22T23:60:00", "2026-11-22T23:59:60",
		"2026-02-30T00:00:00", "2026-13-01", "2026-1-1", "2026-11-22T1:02:03", "2026-11-22T01:2:03", "2026-11-22T01:02.5",
		"2026-11-22X00:00:00", "2026-11-22T00:00:00+", "2026-11-22T00:00:00+24:00", "2026-11-22T00:00:00+00:00Z",
		"2026-11-22T00:00:00.", "2026-11-22T00:00:00.x", "2026-11-22T00:00:00 UTC", " 2026-11-22", "2026-11-22T00:00:00\x00",
		"0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "0000-01-01", "2026-11-22T00:00:00--01:00", "20261122",
	} {
		if got, err := parseLegacyTime(text); err == nil {
			t.Errorf("parseLegacyTime(%q) = %v, want an error", text, got)
		}
	}
}

// FuzzParseLegacyTime holds that whatever is accepted becomes a text of the
// fixed width that reads back as the same instant, and that Go's own reader of
// RFC 3339 agrees wherever it accepts the same text.
func FuzzParseLegacyTime(f *testing.F) {
	for _, seed := range []string{
		"2026-11-22T00:03:36.556012+00:00", "2026-11-22 00:03:36,5-0130", "2026-11-22", "2026-11-22T01Z", "9999-12-31T23:59:59-00:01",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseLegacyTime(text)
		if err != nil {
			return
		}
		stored := store.FormatTime(got)
		back, err := time.Parse(time.RFC3339Nano, stored)
		if err != nil || len(stored) != len("2026-11-22T00:03:36.556012Z") || !back.Equal(got) {
			t.Errorf("%q became %q, which reads as %v, %v", text, stored, back, err)
		}
		if want, err := time.Parse(time.RFC3339Nano, text); err == nil && !want.Truncate(time.Microsecond).Equal(got) {
			t.Errorf("parseLegacyTime(%q) = %v, RFC 3339 says %v", text, got, want)
		}
	})
}

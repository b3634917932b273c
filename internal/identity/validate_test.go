package identity_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// badTexts are refused in every name and description.
func badTexts() map[string]string {
	return map[string]string{
		"NUL":                    "a\x00b",
		"line feed":              "a\nb",
		"tab":                    "a\tb",
		"escape":                 "a\x1b[31m",
		"DEL":                    "a\x7f",
		"C1 control":             "a\u009bb",
		"line separator":         "a\u2028b",
		"paragraph separator":    "a\u2029b",
		"right-to-left override": "a\u202eb",
		"isolate":                "a\u2066b",
		"right-to-left mark":     "a\u200fb",
		"noncharacter":           "a\ufffeb",
		"invalid UTF-8":          "a\xffb",
		"surrogate in UTF-8":     "a\xed\xa0\x80b",
		"white space only":       " \u00a0\u3000",
		"nothing visible":        "\u200d\ufeff\u00ad\u3164",
	}
}

func wantBadField(t *testing.T, name, field, submitted string, err error) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Code != "validation_failed" || len(f.Fields) != 1 || f.Fields[0].Name != field {
		t.Errorf("%s: %#v, want a fault of %s", name, err, field)
		return
	}
	if submitted != "" && strings.Contains(f.Error(), submitted) {
		t.Errorf("%s: the refusal contains the value", name)
	}
}

func TestNamesAreOneLineOfVisibleText(t *testing.T) {
	for _, good := range []string{
		"a", "Field team 7", "Équipe Ü", "मराठी क्\u200dष", "می\u200cخواهم", "👩\u200d💻", "a/b?c#d%", "<b>", "'; --",
		strings.Repeat("x", 255), strings.Repeat("\U0001f600", 255),
	} {
		if err := identity.ValidateName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
		if err := identity.ValidateDisplayName(good); err != nil {
			t.Errorf("%q as display name: %v", good, err)
		}
		if err := identity.ValidateDescription(good); err != nil {
			t.Errorf("%q as description: %v", good, err)
		}
	}
	for name, bad := range badTexts() {
		wantBadField(t, name, "name", bad, identity.ValidateName(bad))
		wantBadField(t, name, "display_name", bad, identity.ValidateDisplayName(bad))
		wantBadField(t, name, "description", bad, identity.ValidateDescription(bad))
	}
}

func TestNamesAreRequiredAndOtherTextsOptional(t *testing.T) {
	wantBadField(t, "name", "name", "", identity.ValidateName(""))
	if err := errors.Join(identity.ValidateDisplayName(""), identity.ValidateDescription("")); err != nil {
		t.Error(err)
	}
}

func TestLengthsCountCharacters(t *testing.T) {
	for _, c := range []string{"x", "ü", "漢", "\U0001f600"} {
		name, description := strings.Repeat(c, 256), strings.Repeat(c, 501)
		wantBadField(t, "name of "+c, "name", name, identity.ValidateName(name))
		wantBadField(t, "display name of "+c, "display_name", name, identity.ValidateDisplayName(name))
		wantBadField(t, "description of "+c, "description", description, identity.ValidateDescription(description))
		if err := identity.ValidateDescription(strings.Repeat(c, 500)); err != nil {
			t.Error(err)
		}
	}
}

func TestValidationNamesTheField(t *testing.T) {
	for want, err := range map[string]error{
		"name must not be blank":                           identity.ValidateName(" "),
		"display_name must not contain control characters": identity.ValidateDisplayName("a\x07"),
		"description must be at most 500 characters long":  identity.ValidateDescription(strings.Repeat("x", 501)),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestIdsAreShortAndPrintable(t *testing.T) {
	for _, good := range []string{"default", "0f3a9c2b7d1e", "0198a7e2-5a54-7c3e-9b1d-3f2c4e5a6b7c", "a", strings.Repeat("ü", 36)} {
		if !identity.ValidID(good) {
			t.Errorf("%q is refused", good)
		}
	}
	bad := badTexts()
	bad["empty"], bad["long"], bad["space"] = "", strings.Repeat("a", 37), "a b"
	bad["invisible"], bad["filler"], bad["private use"] = "a\u200bb", "\u3164", "a\ue000"
	for name, id := range bad {
		if identity.ValidID(id) {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestGroupKeyIgnoresOuterSpaceAndComposition(t *testing.T) {
	for name, want := range map[string]string{
		"Team":           "Team",
		"  Team\u00a0":   "Team",
		"team":           "team",
		"U\u0308ber uns": "\u00dcber uns",
		"a  b":           "a  b",
		"\u2000x":        "x",
		"":               "",
	} {
		if got := identity.GroupKey(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestGroupKeyIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := identity.GroupKey(rapid.String().Draw(t, "name"))
		if again := identity.GroupKey(key); again != key {
			t.Fatalf("%q, then %q", key, again)
		}
	})
}

func FuzzValidate(f *testing.F) {
	for _, s := range badTexts() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if identity.ValidateName(s) == nil {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\n\r\x1b\u202e") || strings.TrimSpace(s) == "" || utf8.RuneCountInString(s) > 255 {
				t.Fatalf("accepted %q", s)
			}
			if identity.ValidateDescription(s) != nil || identity.ValidateDisplayName(s) != nil {
				t.Fatalf("%q is a name and no description", s)
			}
		}
		if identity.ValidID(s) && identity.ValidateName(s) != nil {
			t.Fatalf("%q is an id and no name", s)
		}
	})
}

package identity

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// Limits in characters (code points), the widths of the original's columns.
const (
	MaxID          = 36
	MaxName        = 255
	MaxDescription = 500
)

// ValidateName checks a name that must be there: of a group, a service token.
func ValidateName(s string) error {
	if s == "" {
		return fault.BadField("name", "name must not be blank")
	}
	return validateText("name", s, MaxName)
}

// ValidateDisplayName checks a user's name. It may be empty.
func ValidateDisplayName(s string) error {
	return validateText("display_name", s, MaxName)
}

// ValidateDescription checks a description. It may be empty.
func ValidateDescription(s string) error {
	return validateText("description", s, MaxDescription)
}

// ValidID reports whether s can be an id, of ours or of the original: up to 36
// visible characters.
func ValidID(s string) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= MaxID &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || ignorable(r) })
}

// GroupKey returns the canonical form of a group's name, unique within its
// organization: NFC without outer white space, case kept.
func GroupKey(name string) string {
	return norm.NFC.String(strings.TrimSpace(norm.NFC.String(name)))
}

// validateText checks one line of text; an empty one passes.
func validateText(field, s string, limit int) error {
	switch {
	case !utf8.ValidString(s):
		return fault.BadField(field, field+" must be valid UTF-8")
	case utf8.RuneCountInString(s) > limit:
		return fault.BadField(field, fmt.Sprintf("%s must be at most %d characters long", field, limit))
	case strings.ContainsFunc(s, unsafe):
		return fault.BadField(field, field+" must not contain control characters")
	case s != "" && blank(s):
		return fault.BadField(field, field+" must not be blank")
	default:
		return nil
	}
}

// unsafe reports what no text of ours may hold: control characters, line and
// paragraph separators, code points that are none, and the bidirectional
// controls, which make a line of a log or a list read otherwise than it is.
// The joiners stay: Persian, the Indic scripts and emoji need them.
func unsafe(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Noncharacter_Code_Point)
}

// ignorable reports what a reader does not see: format characters, fillers,
// variation selectors.
func ignorable(r rune) bool {
	return unsafe(r) || unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// blank reports whether a reader would see nothing at all.
func blank(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsSpace(r) && !ignorable(r) })
}

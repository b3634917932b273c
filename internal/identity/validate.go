package identity

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// Limits in characters (code points): the widths of the original's columns.
const (
	MaxID          = 36
	MaxName        = 255
	MaxDescription = 500
)

// ValidateName checks a required name.
func ValidateName(s string) error {
	if s == "" {
		return fault.BadField("name", "name must not be blank")
	}
	return validateText("name", s, MaxName)
}

// ValidateServiceTokenName checks the name of a service token, which is in the path of
// requests about it.
func ValidateServiceTokenName(s string) error {
	if fitsNoPath(s) {
		return fault.BadField("name", `name must not be ".", ".." or "/"`)
	}
	return ValidateName(s)
}

// fitsNoPath reports that no request could name s in its path: dots are never escaped
// (RFC 3986, section 6.2.2), and http.ServeMux takes an escaped slash for the end.
func fitsNoPath(s string) bool { return s == "." || s == ".." || s == "/" }

// ValidateDisplayName checks a user's name, which is optional.
func ValidateDisplayName(s string) error {
	return validateText("display_name", s, MaxName)
}

// ValidateDescription checks a description, which is optional.
func ValidateDescription(s string) error {
	return validateText("description", s, MaxDescription)
}

// ValidID reports whether s can be an id, of this server or of the original: up to
// 36 visible characters.
func ValidID(s string) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= MaxID &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || ignorable(r) })
}

// GroupKey returns the canonical form of a group's name, unique within its
// organization: NFC without surrounding white space, case-sensitive.
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

// unsafe reports characters that no text may contain: control characters, line and
// paragraph separators, noncharacters, and the bidirectional controls, which
// change how a line of a log or a list is displayed.
// The joiners are allowed: Persian, the Indic scripts and emoji need them.
func unsafe(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Noncharacter_Code_Point)
}

// ignorable reports invisible characters: format characters, fillers,
// variation selectors.
func ignorable(r rune) bool {
	return unsafe(r) || unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// blank reports whether no character of s is visible.
func blank(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsSpace(r) && !ignorable(r) })
}

package password

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

const defaultMinLength = 8

// commonGzip holds the most common passwords, see common/README.md.
//
//go:embed common/passwords.txt.gz
var commonGzip []byte

// Check applies the policy to a new password of a user. about is what it must not be
// made of, besides the service's name: their e-mail address and organization. The
// field, such as "password", goes into the fault. Lengths are those in Unicode form
// NFC, which is hashed; there are no composition rules, see NIST SP 800-63B 3.1.1.2.
func (h *Hasher) Check(field, password string, about ...string) error {
	password = norm.NFC.String(password)
	switch {
	case !utf8.ValidString(password) || strings.ContainsRune(password, 0):
		// After a NUL bcrypt starts over: "ab", "ab\x00ab" and so on are equal.
		return fault.BadField(field, "a password must be text without NUL characters")
	case utf8.RuneCountInString(password) < h.minLength:
		return fault.BadField(field, fmt.Sprintf("a password must be at least %d characters long", h.minLength))
	case len(password) > maxBytes:
		return errTooLong(field)
	case h.isCommon(password):
		return fault.BadField(field, "this password is one of the most common ones, choose another")
	case h.obvious(password, about):
		return fault.BadField(field, "a password must not be the e-mail address, the service's name or the organization with digits or punctuation added")
	default:
		return nil
	}
}

// unpackCommon returns all common passwords in lower case, each between line
// feeds.
func unpackCommon() string {
	r, err := gzip.NewReader(bytes.NewReader(commonGzip))
	if err != nil {
		panic("password: the embedded list of common passwords is damaged: " + err.Error())
	}
	text, err := io.ReadAll(r)
	if err != nil {
		panic("password: the embedded list of common passwords is damaged: " + err.Error())
	}
	return "\n" + string(text)
}

// isCommon reports whether the password is on the list. Reading the 75 KB
// through takes a few microseconds beside the hash's 200 milliseconds.
func (h *Hasher) isCommon(password string) bool {
	return h.common != nil && !strings.Contains(password, "\n") && strings.Contains(h.common(), "\n"+fold(password)+"\n")
}

// obvious reports whether the password adds nothing but digits and punctuation to
// one of the names, the local part of one that is an address, or the service's name.
func (h *Hasher) obvious(password string, names []string) bool {
	bare := bareWord(password)
	for _, name := range slices.Concat(names, h.names) {
		local, _, _ := strings.Cut(name, "@")
		if onlyDigitsAdded(bare, bareWord(name)) || onlyDigitsAdded(bare, bareWord(local)) {
			return true
		}
	}
	return false
}

// onlyDigitsAdded reports whether leaving out digits turns s into name.
func onlyDigitsAdded(s, name string) bool {
	rest := []rune(name)
	if len(rest) == 0 {
		return false
	}
	for _, r := range s {
		switch {
		case len(rest) > 0 && r == rest[0]:
			rest = rest[1:]
		case !unicode.IsDigit(r):
			return false
		}
	}
	return len(rest) == 0
}

// bareWord is s folded, without punctuation, symbols and white space.
func bareWord(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPunct(r) || unicode.IsSymbol(r) || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, fold(s))
}

// fold makes letters of either case equal.
func fold(s string) string { return identity.Fold(s) }

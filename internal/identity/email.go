package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// Limits of an e-mail address in bytes (RFC 5321 4.5.3.1, RFC 3696 erratum
// 1690) and of one label of its domain (RFC 1035 2.3.4).
const (
	maxEmail  = 254
	maxLocal  = 64
	maxDomain = 253
	maxLabel  = 63
)

// ParseEmail checks a new address strictly and returns it in the form to
// display: as typed, in NFC. Accepted is `local@domain` with a dot-atom (RFC
// 5322 3.2.3, with letters and digits of any script, RFC 6531) before the @ and
// a domain name, optionally internationalized, after it. Quoted local parts,
// address literals, comments, lists, white space and invisible characters are
// refused. The error never contains the address.
func ParseEmail(s string) (email string, err error) {
	email = norm.NFC.String(s)
	a, ok := splitEmail(email)
	if !ok || len(email) > maxEmail || len(a.key()) > maxEmail || len(a.local) > maxLocal {
		return "", fault.BadField("email", "email must be a valid e-mail address of at most 254 bytes")
	}
	return email, nil
}

// EmailKey returns the canonical form of an address: two addresses with one key
// belong to the same user. It is NFC in lower case with the domain in its ASCII
// form. It never fails: for text that is no address (the original accepted any text)
// it is the text itself in NFC and lower case.
func EmailKey(s string) string {
	if a, ok := splitEmail(norm.NFC.String(s)); ok {
		return a.key()
	}
	return lowerNFC(s)
}

// address is an e-mail address of valid syntax; its lengths are unchecked.
type address struct {
	local  string // NFC, case kept
	domain string // ASCII form, lower case
}

func (a address) key() string { return lowerNFC(a.local) + "@" + a.domain }

// splitEmail splits an address that is in NFC.
func splitEmail(email string) (a address, ok bool) {
	local, domain, found := strings.Cut(email, "@")
	if !found || !utf8.ValidString(email) || !validLocal(local) {
		return address{}, false
	}
	ascii, ok := asciiDomain(domain)
	return address{local: local, domain: ascii}, ok
}

// validLocal reports whether s is a dot-atom. Compatibility forms, such as full
// width letters, are refused as in RFC 8264 4.2 for identifiers: they look
// like the plain ones and would be another user.
func validLocal(s string) bool {
	if !norm.NFKC.IsNormalString(s) {
		return false
	}
	for atom := range strings.SplitSeq(s, ".") {
		first, _ := utf8.DecodeRuneInString(atom)
		if atom == "" || unicode.IsMark(first) || strings.ContainsFunc(atom, notAtomText) {
			return false
		}
	}
	return true
}

func notAtomText(r rune) bool {
	if r < utf8.RuneSelf {
		return !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r) && !isASCIIAlnum(r)
	}
	return !unicode.In(r, unicode.L, unicode.M, unicode.N) || ignorable(r)
}

// asciiDomain returns the IDNA (UTS 46, non-transitional) form of a domain. One
// label is enough, for closed networks; a last label of digits only
// is refused, since it would be an IP address.
func asciiDomain(s string) (ascii string, ok bool) {
	if len(s) > 4*maxDomain {
		return "", false // the work of Punycode grows with the square of the length
	}
	if strings.ContainsFunc(s, ignorable) {
		return "", false // IDNA drops some of these, the display form would keep them
	}
	ascii, err := idna.Lookup.ToASCII(s)
	if err != nil || len(ascii) > maxDomain {
		return "", false
	}
	last := ""
	for label := range strings.SplitSeq(ascii, ".") {
		if label == "" || len(label) > maxLabel || strings.Trim(label, "-") != label {
			return "", false
		}
		last = label
	}
	return ascii, strings.Trim(last, "0123456789") != ""
}

// lowerNFC composes before and after lowering: some letters have a composed form
// in lower case only.
func lowerNFC(s string) string {
	return norm.NFC.String(strings.ToLower(norm.NFC.String(s)))
}

func isASCIIAlnum(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

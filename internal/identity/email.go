package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
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

// ParseEmail checks a new address strictly and returns it in the form to store,
// to display and to send mail to: trimmed, the local part as typed in NFC, the
// domain in the Unicode form that IDNA maps it to. Accepted is `local@domain` with
// a dot-atom (RFC 5322 3.2.3, with letters and digits of any script, RFC 6531)
// before the @ and a domain name, optionally internationalized, after it. Quoted
// local parts, address literals, comments, lists, white space and invisible
// characters are refused. The error never contains the address.
func ParseEmail(s string) (email string, err error) {
	a, ok := splitEmail(s)
	if !ok || len(a.shown()) > maxEmail || len(a.key()) > maxEmail || len(a.local) > maxLocal {
		return "", fault.BadField("email", "email must be a valid e-mail address of at most 254 bytes")
	}
	return a.shown(), nil
}

// ShownEmail returns a stored address with an internationalized domain in its
// Unicode form. What earlier releases and the original stored is otherwise kept, the
// case of the domain too; the original accepted any text.
func ShownEmail(s string) string {
	local, domain, found := strings.Cut(s, "@")
	if !found || isASCII(domain) && !strings.Contains(strings.ToLower(domain), "xn--") {
		return s
	}
	if _, shown, ok := mapDomain(domain); ok && validLocal(norm.NFC.String(local)) {
		return local + "@" + shown
	}
	return s
}

// EmailKey returns the canonical form of an address: two addresses with one key
// belong to the same user. The local part is compared by full case folding without
// the Turkic exceptions and in NFC, the domain by its ASCII form (IDNA). It never
// fails: text that is no address is folded as a whole.
func EmailKey(s string) string {
	s = trim(s)
	local, domain, found := strings.Cut(s, "@")
	if found && utf8.ValidString(s) {
		if ascii, _, ok := mapDomain(domain); ok && validLocal(Fold(local)) {
			return Fold(local) + "@" + ascii
		}
	}
	return Fold(s)
}

// Fold returns text in the form in which it is compared without regard to case:
// the canonical caseless matching of the Unicode standard (D145), in NFC.
func Fold(s string) string {
	for range 3 { // folding may put combining marks into another order
		folded := norm.NFC.String(strings.Map(foldCherokee, cases.Fold().String(norm.NFD.String(s))))
		if folded == s {
			break
		}
		s = folded
	}
	return s
}

// foldCherokee makes the small letters of Cherokee capital ones, to which they fold:
// cases.Fold exchanges the two.
func foldCherokee(r rune) rune {
	switch {
	case 0xab70 <= r && r <= 0xabbf:
		return r - 0xab70 + 0x13a0
	case 0x13f8 <= r && r <= 0x13fd:
		return r - 8
	default:
		return r
	}
}

// trim removes white space from both ends, but no control characters.
func trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.Is(unicode.Zs, r) })
}

// address is an e-mail address of valid syntax; its lengths are unchecked.
type address struct {
	local  string // NFC, case kept
	domain string // in Unicode, lower case
	ascii  string // the domain in ASCII form
}

func (a address) key() string { return Fold(a.local) + "@" + a.ascii }

func (a address) shown() string { return a.local + "@" + a.domain }

func splitEmail(s string) (a address, ok bool) {
	local, domain, found := strings.Cut(norm.NFC.String(trim(s)), "@")
	if !found || !utf8.ValidString(s) || !validLocal(local) {
		return address{}, false
	}
	ascii, shown, ok := mapDomain(domain)
	return address{local: local, domain: shown, ascii: ascii}, ok
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

// mapDomain returns the two IDNA forms (UTS 46, non-transitional) of a domain. One
// label is enough, for closed networks; a last label of digits only is refused,
// since it would be an IP address.
func mapDomain(s string) (ascii, shown string, ok bool) {
	if len(s) > 4*maxDomain {
		return "", "", false // the work of Punycode grows with the square of the length
	}
	ascii, err := idna.Lookup.ToASCII(s)
	if err != nil || len(ascii) > maxDomain {
		return "", "", false
	}
	shown, err = idna.Lookup.ToUnicode(ascii)
	if err != nil || strings.ContainsFunc(s, ignorable) || strings.ContainsFunc(shown, ignorable) {
		return "", "", false // IDNA drops or allows some invisible characters
	}
	last := ""
	for label := range strings.SplitSeq(ascii, ".") {
		if label == "" || len(label) > maxLabel || strings.Trim(label, "-") != label {
			return "", "", false
		}
		last = label
	}
	return ascii, shown, strings.Trim(last, "0123456789") != ""
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

func isASCIIAlnum(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

package identity_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

func TestParseEmailKeepsTheLocalPartAndMapsTheDomain(t *testing.T) {
	long := "a@" + label(63) + "." + label(63) + "." + label(63) + "." + label(60)
	for typed, want := range map[string][2]string{ // the form to show, and the key
		"admin@pico.local":                       {"admin@pico.local", "admin@pico.local"},
		"Alice.B+tag@Example.COM":                {"Alice.B+tag@example.com", "alice.b+tag@example.com"},
		"o'neil_1-x@a.b.c":                       {"o'neil_1-x@a.b.c", "o'neil_1-x@a.b.c"},
		"root@localhost":                         {"root@localhost", "root@localhost"},
		"a@1password.com":                        {"a@1password.com", "a@1password.com"},
		"user@B\u00dcCHER.example":               {"user@b\u00fccher.example", "user@xn--bcher-kva.example"},
		"user@xn--BCHER-kva.example":             {"user@b\u00fccher.example", "user@xn--bcher-kva.example"},
		"user@stra\u00dfe.example":               {"user@stra\u00dfe.example", "user@xn--strae-oqa.example"},
		"user@strasse.example":                   {"user@strasse.example", "user@strasse.example"},
		"\u7528\u6237@\u4f8b\u5b50.\u5e7f\u544a": {"\u7528\u6237@\u4f8b\u5b50.\u5e7f\u544a", "\u7528\u6237@xn--fsqu00a.xn--4rr70v"},
		"\u00dcnal@example.com":                  {"\u00dcnal@example.com", "\u00fcnal@example.com"},
		"user@example\u3002com":                  {"user@example.com", "user@example.com"}, // ideographic full stop
		" Ada@example.com\u00a0":                 {"Ada@example.com", "ada@example.com"},
		strings.Repeat("a", 64) + "@b.c":         {strings.Repeat("a", 64) + "@b.c", strings.Repeat("a", 64) + "@b.c"},
		long:                                     {long, long},
	} {
		got, err := identity.ParseEmail(typed)
		if err != nil || got != want[0] {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
		if key := identity.EmailKey(typed); key != want[1] {
			t.Errorf("%q: key %q, want %q", typed, key, want[1])
		}
	}
}

func TestAStoredAddressIsShownAsItWasStoredButForAnInternationalizedDomain(t *testing.T) {
	for stored, want := range map[string]string{
		"Ada@Example.ORG":         "Ada@Example.ORG",
		"Ada@B\u00dcCHER.example": "Ada@b\u00fccher.example",
		"Ada@XN--BCHER-KVA.de":    "Ada@b\u00fccher.de",
		"Ada@xn--a.de":            "Ada@xn--a.de", // not Punycode
		"Bob":                     "Bob",
		"B O@B\u00dcCHER.de":      "B O@B\u00dcCHER.de",
		"":                        "",
		" x ":                     " x ",
	} {
		if got := identity.ShownEmail(stored); got != want {
			t.Errorf("%q: %q, want %q", stored, got, want)
		}
	}
}

func label(n int) string { return strings.Repeat("d", n) }

func TestParseEmailComposes(t *testing.T) {
	got, err := identity.ParseEmail("A\u0308nne@example.com")
	if err != nil || got != "\u00c4nne@example.com" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestParseEmailRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"nothing":                  "",
		"no at":                    "plain",
		"only an at":               "@",
		"no local part":            "@b.c",
		"no domain":                "a@",
		"two ats":                  "a@b@c",
		"dot first":                ".a@b.c",
		"dot last":                 "a.@b.c",
		"two dots":                 "a..b@c.d",
		"trailing dot":             "a@b.c.",
		"dot before the domain":    "a@.b.c",
		"two dots in the domain":   "a@b..c",
		"ideographic trailing dot": "a@b.c\u3002",
		"space in the local part":  "a @b.c",
		"space in the domain":      "a@ b.c",
		"joiner in Punycode":       "a@xn--11b4d3a5hb.c",
		"space inside":             "a b@c.d",
		"no-break space":           "a\u00a0b@c.d",
		"tab":                      "a\t@b.c",
		"line feed":                "a@b.c\n",
		"header injection":         "a@b.c\r\nBcc: d@e.f",
		"NUL":                      "a\x00@b.c",
		"NUL in the domain":        "a@b\x00.c",
		"DEL":                      "a\x7f@b.c",
		"C1 control":               "a\u0085@b.c",
		"list":                     "a@b.c,d@e.f",
		"list by semicolon":        "a@b.c;d@e.f",
		"name and address":         "A <a@b.c>",
		"comment":                  "a(x)@b.c",
		"quoted":                   `"a b"@c.d`,
		"backslash":                `a\b@c.d`,
		"group syntax":             "g:a@b.c;",
		"address literal":          "a@[127.0.0.1]",
		"IP address":               "a@127.0.0.1",
		"hyphen first":             "a@-b.c",
		"hyphen last":              "a@b-.c",
		"underscore in the domain": "a@b_c.d",
		"bad Punycode":             "a@xn--\u00fc.c",
		"Punycode of ASCII":        "a@xn--abc-.c",
		"long label":               "a@" + label(64) + ".c",
		"long local part":          strings.Repeat("a", 65) + "@b.c",
		"255 bytes":                "a@" + label(63) + "." + label(63) + "." + label(63) + "." + label(61),
		"255 bytes in ASCII form":  "ab@" + strings.Repeat("\u00fc.", 31) + label(60) + "." + label(60) + "." + label(24),
		"huge":                     strings.Repeat("\u4e00", 200_000) + "@" + strings.Repeat("\u4e00", 200_000),
		"invalid UTF-8":            "a\xff@b.c",
		"invalid UTF-8 in domain":  "a@b\xff.c",
		"zero width space":         "a\u200bb@c.d",
		"soft hyphen in domain":    "a@exa\u00admple.com",
		"zero width in domain":     "a@exam\u200bple.com",
		"right-to-left override":   "a\u202eb@c.d",
		"byte order mark":          "\ufeffa@b.c",
		"Hangul filler":            "a\u3164@b.c",
		"variation selector":       "a\ufe0f@b.c",
		"combining mark first":     "\u0301a@b.c",
		"full width letter":        "\uff41dmin@b.c",
		"ligature":                 "\ufb01@b.c",
		"emoji":                    "\U0001f600@b.c",
		"full width at":            "a\uff20b.c",
		"private use":              "a\ue000@b.c",
		"mixed direction":          "a@\u05d0b.c",
	} {
		got, err := identity.ParseEmail(s)
		var f *fault.Error
		if got != "" || !errors.As(err, &f) || f.Kind != fault.Invalid || len(f.Fields) != 1 || f.Fields[0].Name != "email" {
			t.Errorf("%s: %.40q, %v", name, got, err)
			continue
		}
		if len(s) > 1 && strings.Contains(f.Error()+f.Fields[0].Message, s) {
			t.Errorf("%s: the refusal holds the address", name)
		}
	}
}

func TestEmailKeyOfOtherTextIsTheTextFolded(t *testing.T) {
	for s, want := range map[string]string{
		"":                                    "",
		"Bob":                                 "bob",
		"BOB@":                                "bob@",
		" Bob ":                               "bob",
		"A\u0308 B@Example.com":               "\u00e4 b@example.com",
		"\"Bob\"@B\u00dcCHER.de":              "\"bob\"@b\u00fccher.de",
		"A@" + strings.Repeat("\u4e00", 2000): "a@" + strings.Repeat("\u4e00", 2000),
	} {
		if got := identity.EmailKey(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestOneUserHasOneKey(t *testing.T) {
	for _, same := range [][]string{
		{"a@b.c", "A@B.C"},
		{"\u00e9@b.c", "e\u0301@b.c", "\u00c9@b.c", "E\u0301@b.c"},
		{"a@b\u00fccher.de", "a@xn--bcher-kva.de", "a@BU\u0308CHER.DE", "a@b\u00fccher\u3002de"},
		{"\u1e96@b.c", "H\u0331@b.c"},                                                  // composed in lower case only
		{"\u03c3\u03b1\u03c2@b.c", "\u03c3\u03b1\u03c3@b.c", "\u03a3\u0391\u03a3@b.c"}, // final sigma
		{"\u212aim@b.c", "kim@b.c"},                                                    // Kelvin sign
		{"\u13a0\u13f0@b.c", "\uab70\u13f8@b.c", "\uab70\u13f0@b.c"},                   // Cherokee
		{"stra\u00dfe@b.c", "strasse@b.c", "STRA\u1e9eE@b.c"},
		{"a@b.c", " a@b.c", "a@b.c\u3000"},
	} {
		for _, s := range same[1:] {
			if a, b := identity.EmailKey(same[0]), identity.EmailKey(s); a != b {
				t.Errorf("%q and %q have the keys %q and %q", same[0], s, a, b)
			}
		}
	}
	for _, other := range [][2]string{
		{"a.b@c.d", "ab@c.d"},
		{"a+x@c.d", "a@c.d"},
		{"a@b.c", "a@b.c."},
		{"a@stra\u00dfe.c", "a@strasse.c"},
		{"\u0130lker@b.c", "ilker@b.c"},
		{"\u0131lker@b.c", "ilker@b.c"}, // dotted capital I, dotless small i
	} {
		if identity.EmailKey(other[0]) == identity.EmailKey(other[1]) {
			t.Errorf("%q and %q have one key", other[0], other[1])
		}
	}
}

// emails draws addresses, near misses and arbitrary text.
func emails() *rapid.Generator[string] {
	part := rapid.StringOfN(rapid.RuneFrom([]rune("aAbZ09.-_+'@ \u00e4\u0308\u0130\u0131\u017f\u212aKk\u1e9e\u00df\u4e00\u0331hHjJ\u030c\u3002xn")), 0, 70, -1)
	address := rapid.Custom(func(t *rapid.T) string {
		return part.Draw(t, "local") + "@" + part.Draw(t, "domain")
	})
	tidy := rapid.StringMatching(`[a-zA-Z\x{e4}\x{c4}\x{1f0}hHjJ]{1,8}\x{30c}?(\.[a-z]{1,4})?@([a-zA-Z\x{fc}\x{dc}]{1,8}|xn--bcher-kva|XN--BCHER-KVA)(\.[a-zA-Z]{2,5})?`)
	return rapid.OneOf(address, tidy, rapid.String())
}

func TestEmailKeyIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkKey(t, emails().Draw(t, "email")) })
}

func TestKeyDoesNotDependOnTheCaseOfASCII(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := emails().Draw(t, "email")
		flipped := []rune(s)
		for i, r := range flipped {
			if r < utf8.RuneSelf && rapid.Bool().Draw(t, "flip") {
				flipped[i] = swapRune(r)
			}
		}
		if _, err := identity.ParseEmail(s); err != nil {
			t.Skip()
		}
		if a, b := identity.EmailKey(s), identity.EmailKey(string(flipped)); a != b {
			t.Fatalf("%q and %q have the keys %q and %q", s, string(flipped), a, b)
		}
	})
}

// turkic are letters that simple mappings take for another one: a dotted capital I
// in lower case, and a dotless small i in upper case.
const turkic = "\u0130\u0131"

func swapCase(s string) string { return strings.Map(swapRune, s) }

func swapRune(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z':
		return r - 'a' + 'A'
	case 'A' <= r && r <= 'Z':
		return r - 'A' + 'a'
	default:
		return r
	}
}

// fataler is the common part of rapid.T and testing.T.
type fataler interface{ Fatalf(string, ...any) }

func checkKey(t fataler, s string) {
	key := identity.EmailKey(s)
	if again := identity.EmailKey(key); again != key {
		t.Fatalf("%q: key %q, key of the key %q", s, key, again)
	}
}

func FuzzParseEmail(f *testing.F) {
	for _, s := range []string{
		"admin@pico.local", "Alice+x@Example.COM", "用户@例子.广告", "a@xn--bcher-kva.de", "\"a b\"@c.d", "a@[::1]",
		"a@b.c,d@e.f", "\u212a@b.c", "a@b\u3002c", "x@\u05d0.c", "\xff@b", "h\u0331@c", "\u0130@\u0130.com",
		"\u03c3\u03c2@\u03c3\u03c2.gr", "stra\u00dfe@stra\u00dfe.de", "\ufb01@B\u00dcCHER.de", "\u0390\u1fb3@x.y", " a@b.c ",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkKey(t, s)
		email, err := identity.ParseEmail(s)
		if err != nil {
			if email != "" {
				t.Fatalf("%q: refused and returned", s)
			}
			return
		}
		key := identity.EmailKey(s)
		if !utf8.ValidString(email) || !norm.NFC.IsNormalString(email) || len(email) > 254 || len(key) > 254 {
			t.Fatalf("%q: %q", s, email)
		}
		if strings.ContainsAny(email, " \t\r\n\x00<>(),;:\\\"[]") || strings.Count(email, "@") != 1 || strings.HasSuffix(key, ".") {
			t.Fatalf("%q: accepted as %q", s, email)
		}
		if again, err := identity.ParseEmail(email); err != nil || again != email {
			t.Fatalf("%q: %q is not accepted as itself: %q, %v", s, email, again, err)
		}
		if k := identity.EmailKey(email); k != key {
			t.Fatalf("%q: key %q as typed, %q as displayed", s, key, k)
		}
		local, domain, _ := strings.Cut(email, "@")
		for _, other := range []string{strings.ToUpper(local), strings.ToLower(local), strings.ToTitle(local), cases.Fold().String(local), norm.NFD.String(local)} {
			if k := identity.EmailKey(other + "@" + domain); k != key && !strings.ContainsAny(local, turkic) {
				t.Fatalf("%q: key %q, as %q %q", s, key, other, k)
			}
		}
		if k := identity.EmailKey(identity.Fold(key)); k != key {
			t.Fatalf("%q: key %q, folded %q", s, key, k)
		}
		if k := identity.EmailKey(swapCase(email)); k != key {
			t.Fatalf("%q: key %q, in the other case %q", s, key, k)
		}
		if _, domain, _ := strings.Cut(key, "@"); strings.ContainsFunc(domain, func(r rune) bool { return r >= utf8.RuneSelf || 'A' <= r && r <= 'Z' }) {
			t.Fatalf("%q: key %q with a domain that is not lower-case ASCII", s, key)
		}
	})
}

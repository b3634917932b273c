package password

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/pico-auth/pico-auth/internal/fault"
)

func TestGoodPasswordsPass(t *testing.T) {
	h := newHasher(t, Config{ServiceName: "Pico Auth API"})
	for _, password := range []string{
		"secret123", // of the original's README
		"correct horse battery staple",
		"        ", // no composition rules
		"пароль-длинный",
		"\U0001f511\U0001f511\U0001f511\U0001f511\U0001f511\U0001f511\U0001f511\U0001f511",
		"line\nfeed", "tab\tand more",
		strings.Repeat("x", 72), strings.Repeat("ü", 36),
		"alice@other.example", "alicesmith1", "xalice99x", "2024alicia", "picoauthority", "picture1",
	} {
		if err := h.Check("password", password, "Alice@Example.com"); err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestBadPasswordsAreRefusedWithTheReason(t *testing.T) {
	h := newHasher(t, Config{ServiceName: "Pico Auth API"})
	const email = "Alice.B@Example.com"
	for reason, passwords := range map[string][]string{
		"at least 8 characters": {"", "a", "1234567", "üüüüüüü", "admin", "\U0001f511\U0001f511"},
		"at most 72 bytes":      {strings.Repeat("x", 73), strings.Repeat("ü", 37), strings.Repeat("x", 60_000)},
		"NUL":                   {"secret\x00123", "\x00\x00\x00\x00\x00\x00\x00\x00"},
		"text":                  {"secret\xff123", "\xed\xa0\x80secret"},
		"most common":           {"password123", "PASSWORD123", "PassWord1", "12345678", "iloveyou1", "Qwerty123"},
		"e-mail address": {
			email, "alice.b@example.com", "ALICE.B@EXAMPLE.COM", "alice.b@example.com1", "alice.b1", "Alice.B2024!", "aliceb99", "!!alice.b!!", "a1l2i3c4e5b6",
			"acme-corp", "Acme-Corp2026", "ACME corp!",
			"pico-auth", "Pico-Auth1", "picoauth2024", "pico1234", "1234pico", "PICO!!!!", "pico_auth_api", "Pico Auth API", "pico auth api 1!",
		},
	} {
		for _, password := range passwords {
			err := h.Check("new_password", password, email, "acme-corp")
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Invalid || len(f.Fields) != 1 || f.Fields[0].Name != "new_password" {
				t.Errorf("%.40q: %v", password, err)
				continue
			}
			if !strings.Contains(f.Message, reason) {
				t.Errorf("%.40q: %q, want the reason %q", password, f.Message, reason)
			}
			if len(password) > 4 && strings.Contains(strings.ToLower(f.Error()), strings.ToLower(password)) && password != "pico-auth" {
				t.Errorf("%.40q: the refusal holds the password", password)
			}
		}
	}
}

func TestMinimumLengthIsConfigured(t *testing.T) {
	h := newHasher(t, Config{MinLength: 12})
	if err := h.Check("p", "elevenchar1", "a@b.c"); err == nil || !strings.Contains(err.Error(), "at least 12 characters") {
		t.Errorf("11 characters: %v", err)
	}
	if err := h.Check("p", "twelve chars", "a@b.c"); err != nil {
		t.Errorf("12 characters: %v", err)
	}
}

func TestAbsentNamesForbidNothing(t *testing.T) {
	h := newHasher(t, Config{})
	for _, email := range []string{"", "@", "@b.c", "...@...", "--"} {
		if err := h.Check("p", "8675309-2", email); err != nil {
			t.Errorf("address %q: %v", email, err)
		}
	}
}

func TestCommonPasswordsAreTheWholeList(t *testing.T) {
	h := newHasher(t, Config{})
	list := strings.Split(strings.Trim(h.common(), "\n"), "\n")
	if len(list) != 10_000 || !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
		t.Fatalf("%d entries, sorted: %v", len(list), slices.IsSorted(list))
	}
	for _, password := range list {
		if fold(password) != password || !h.isCommon(password) || !h.isCommon(strings.ToUpper(password)) {
			t.Errorf("%q cannot be found", password)
		}
	}
	for _, near := range []string{"", "\n", "password\n", "\npassword", list[0] + "\n" + list[1], "passwordpasswor", "assword123"} {
		if h.isCommon(near) {
			t.Errorf("%q counts as common", near)
		}
	}
}

func TestTheListOfCommonPasswordsCanBeTurnedOff(t *testing.T) {
	h := newHasher(t, Config{AllowCommon: true})
	if err := h.Check("p", "password123", "ada@example.com"); err != nil {
		t.Error(err)
	}
	for _, still := range []string{"1234567", "ada@example.com", "pico-auth1"} {
		if h.Check("p", still, "ada@example.com") == nil {
			t.Errorf("%q passes", still)
		}
	}
}

func TestLengthsAreThoseOfTheFormThatIsHashed(t *testing.T) {
	h := newHasher(t, Config{})
	if err := h.Check("p", strings.Repeat("u\u0308", 36)); err != nil {
		t.Errorf("72 bytes once composed: %v", err)
	}
	for _, bad := range []string{strings.Repeat("u\u0308", 37), strings.Repeat("u\u0308", 7)} {
		if h.Check("p", bad) == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestDigitsAndPunctuationDoNotHideAName(t *testing.T) {
	h := newHasher(t, Config{})
	name := []rune("annabel-lee")
	rapid.Check(t, func(rt *rapid.T) {
		filler := rapid.StringMatching(`[0-9!?_. -]{0,3}`)
		var password strings.Builder
		for _, r := range name {
			if rapid.Bool().Draw(rt, "upper") {
				r = unicode.ToUpper(r)
			}
			password.WriteString(filler.Draw(rt, "filler"))
			password.WriteRune(r)
		}
		password.WriteString(filler.Draw(rt, "filler"))
		if h.Check("p", password.String(), "Annabel-Lee@example.com") == nil {
			rt.Fatalf("%q passes", password.String())
		}
		if letters := "x" + password.String(); len(letters) <= maxBytes {
			if err := h.Check("p", letters, "Annabel-Lee@example.com"); err != nil {
				rt.Fatalf("%q is refused: %v", letters, err)
			}
		}
	})
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{"secret123", "password123", "alice1", "pico-auth", "\xff", "\x00", strings.Repeat("ü", 40)} {
		f.Add(s, "alice@example.com")
	}
	h := &Hasher{minLength: 8, names: []string{"pico", "pico-auth", ""}, common: sync.OnceValue(unpackCommon)}
	f.Fuzz(func(t *testing.T, password, email string) {
		err := h.Check("password", password, email)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		if len(password) > maxBytes || utf8.RuneCountInString(password) < 8 || !utf8.ValidString(password) || strings.Contains(password, "\x00") || strings.EqualFold(password, email) && bareWord(email) != "" {
			t.Fatalf("%q passes for %q", password, email)
		}
	})
}

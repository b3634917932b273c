package identity

import (
	_ "embed" // the names of time zones
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// Profile is what users say about themselves besides their name: the claims of
// OpenID Connect's scope profile (Core 5.4), stored as this JSON. preferred_username
// is not among them: it would be taken for a name that identifies. All fields are
// optional.
type Profile struct {
	GivenName  string `json:"given_name,omitempty"`
	FamilyName string `json:"family_name,omitempty"`
	MiddleName string `json:"middle_name,omitempty"`
	Nickname   string `json:"nickname,omitempty"`
	Page       string `json:"profile,omitempty"` // URL
	Picture    string `json:"picture,omitempty"` // URL
	Website    string `json:"website,omitempty"` // URL
	Gender     string `json:"gender,omitempty"`
	Birthdate  string `json:"birthdate,omitempty"` // YYYY-MM-DD, 0000-MM-DD without the year, or YYYY
	Zoneinfo   string `json:"zoneinfo,omitempty"`  // such as Europe/Berlin
	Locale     string `json:"locale,omitempty"`    // such as de-CH, BCP 47

	Phone   string  `json:"phone_number,omitempty"` // with the country code, such as +44 20 7946 0018
	Address Address `json:"address,omitzero"`
}

// Address is a postal address, OpenID Connect Core 5.1.1. All fields are optional.
type Address struct {
	Formatted  string `json:"formatted,omitempty"` // the whole address, with line breaks
	Street     string `json:"street_address,omitempty"`
	Locality   string `json:"locality,omitempty"`
	Region     string `json:"region,omitempty"`
	PostalCode string `json:"postal_code,omitempty"`
	Country    string `json:"country,omitempty"`
}

// Limits of the fields of a profile in characters, besides MaxName.
const (
	maxURL      = 2048
	maxZoneinfo = 64
	maxLocale   = 35 // RFC 5646 4.4.1
	maxPhone    = 40
	maxAddress  = 500

	// maxNameKey is how much of a name is searched and sorted by: an index of
	// PostgreSQL takes 2,700 bytes.
	maxNameKey = 64
)

// A profileField is a field that ChangeProfile sets.
type profileField struct {
	name string
	of   func(*User) *string
	ok   func(s string) bool // of text that validateText has accepted; nil: all of it
	rule string              // continues "must be"
	max  int                 // characters

	lines bool // it may have line breaks
}

func profileFields() []profileField {
	const webAddress = "an absolute http or https URL in ASCII form, without a user"
	return []profileField{
		{name: "display_name", of: func(u *User) *string { return &u.DisplayName }, max: MaxName},
		{name: "given_name", of: func(u *User) *string { return &u.Profile.GivenName }, max: MaxName},
		{name: "family_name", of: func(u *User) *string { return &u.Profile.FamilyName }, max: MaxName},
		{name: "middle_name", of: func(u *User) *string { return &u.Profile.MiddleName }, max: MaxName},
		{name: "nickname", of: func(u *User) *string { return &u.Profile.Nickname }, max: MaxName},
		{name: "profile", of: func(u *User) *string { return &u.Profile.Page }, max: maxURL, ok: webPattern.MatchString, rule: webAddress},
		{name: "picture", of: func(u *User) *string { return &u.Profile.Picture }, max: maxURL, ok: webPattern.MatchString, rule: webAddress},
		{name: "website", of: func(u *User) *string { return &u.Profile.Website }, max: maxURL, ok: webPattern.MatchString, rule: webAddress},
		{name: "gender", of: func(u *User) *string { return &u.Profile.Gender }, max: MaxName},
		{name: "birthdate", of: func(u *User) *string { return &u.Profile.Birthdate }, max: MaxName, ok: isBirthdate, rule: "a date as YYYY-MM-DD, 0000-MM-DD or YYYY"},
		{name: "zoneinfo", of: func(u *User) *string { return &u.Profile.Zoneinfo }, max: maxZoneinfo, ok: isZone, rule: "a name of the time zone database, such as Europe/Berlin"},
		{name: "locale", of: func(u *User) *string { return &u.Profile.Locale }, max: maxLocale, ok: localePattern.MatchString, rule: "a language tag, such as de-CH"},
		{name: "phone_number", of: func(u *User) *string { return &u.Profile.Phone }, max: maxPhone, ok: phonePattern.MatchString, rule: "a phone number with its country code, such as +44 20 7946 0018"},
		{name: "address.formatted", of: func(u *User) *string { return &u.Profile.Address.Formatted }, max: maxAddress, lines: true},
		{name: "address.street_address", of: func(u *User) *string { return &u.Profile.Address.Street }, max: maxAddress, lines: true},
		{name: "address.locality", of: func(u *User) *string { return &u.Profile.Address.Locality }, max: MaxName},
		{name: "address.region", of: func(u *User) *string { return &u.Profile.Address.Region }, max: MaxName},
		{name: "address.postal_code", of: func(u *User) *string { return &u.Profile.Address.PostalCode }, max: MaxName},
		{name: "address.country", of: func(u *User) *string { return &u.Profile.Address.Country }, max: MaxName},
	}
}

var (
	// webPattern accepts what a page may link to: javascript: and data: URLs would
	// run in the page that shows the profile.
	webPattern = regexp.MustCompile(`^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?#][^\x00-\x20"<>\\^{|}\x60\x7f-\x{10ffff}]*)?$`)

	// phonePattern accepts RFC 3966 and the usual spellings of E.164 numbers.
	phonePattern = regexp.MustCompile(`^\+[0-9][0-9 ()./-]{2,30}(;ext=[0-9]{1,6})?$`)

	localePattern = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
)

// zones has the names of the IANA time zone database that Go comes with, one a line. The
// whole database (time/tzdata) would make the program 400 KB larger, and LoadLocation also
// takes what the machine has: "Local", and folders of other uses.
//
//go:embed zones.txt
var zones string

func isZone(s string) bool { return zoneNames()[s] }

var zoneNames = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for name := range strings.Lines(zones) {
		names[strings.TrimSuffix(name, "\n")] = true
	}
	return names
})

// ChangeProfile sets the fields of u that changes names, display_name among them;
// empty text clears one. A value that does not differ is not checked: an earlier release may
// have accepted it, and a page sends all fields. It returns the names of those that differ,
// sorted. On an error nothing was set.
func ChangeProfile(u *User, changes map[string]string) (changed []string, err error) {
	next := *u
	known := 0
	var faults []error
	for _, f := range profileFields() {
		value, there := changes[f.name]
		if !there {
			continue
		}
		known++
		value = TrimName(value)
		if value == *f.of(&next) {
			continue
		}
		if err := f.check(value); err != nil {
			faults = append(faults, err)
			continue
		}
		*f.of(&next) = value
		changed = append(changed, f.name)
	}
	if err := fault.Gather(faults...); err != nil {
		return nil, err
	}
	if known < len(changes) {
		return nil, fault.BadField("body", "the profile has no such field")
	}
	*u = next
	slices.Sort(changed)
	return changed, nil
}

func (f profileField) check(value string) error {
	text := value
	if f.lines {
		text = strings.NewReplacer("\r\n", " ", "\n", " ").Replace(text)
	}
	if err := validateText(f.name, text, f.max); err != nil {
		return err
	}
	if value != "" && f.ok != nil && !f.ok(value) {
		return fault.BadField(f.name, f.name+" must be "+f.rule)
	}
	return nil
}

func isBirthdate(s string) bool {
	layout := time.DateOnly
	switch {
	case len(s) == len("2006"):
		layout = "2006"
	case strings.HasPrefix(s, "0000-"):
		s = "2000" + s[4:] // a leap year
	}
	_, err := time.Parse(layout, s)
	return err == nil
}

// TrimName is a name as it is stored: in NFC, without white space at the ends.
func TrimName(name string) string { return norm.NFC.String(trim(name)) }

// NameKey is the form of a name that users are searched and sorted by: its folded
// beginning.
func NameKey(name string) string { return beginning(Fold(trim(name)), maxNameKey) }

// SearchKeys returns the prefixes of the e-mail keys and of the name keys that a
// search for q finds. An internationalized domain is found as a whole only, since
// its ASCII form has no common beginning with that of a part of it.
func SearchKeys(q string) (email, name string) {
	return EmailKey(q), NameKey(q)
}

func beginning(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit])
}

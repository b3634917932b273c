package identity

import (
	"strings"
	"unicode/utf8"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// maxStorable is the widest column of the original that is looked up by a client's
// input: 255 characters of up to four bytes.
const maxStorable = 4 * 255

// Storable reports whether any row can hold s. Lookups check this instead of the
// strict rules for new values, so that everything the original accepted can be
// found, and text that PostgreSQL refuses (NUL, invalid UTF-8) is an absent row
// rather than a failed query.
func Storable(s string) bool {
	return len(s) <= maxStorable && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// ValidateNewOrganization checks the id of a new organization. An empty one is valid
// and means one that the server makes.
func ValidateNewOrganization(id string) error { return validateNewID("id", id) }

func validateNewID(field, s string) error {
	if s != "" && (!ValidID(s) || fitsNoPath(s)) {
		return fault.BadField(field, field+` must be at most 36 characters without white space or control characters, and not ".", ".." or "/"`)
	}
	return nil
}

// ValidateOrgID checks the organization that a request names for a new row. An
// empty one is valid and means the actor's own.
func ValidateOrgID(s string) error {
	return validateNewID("org_id", s)
}

package token

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// userClaim is a claim about a user.
type userClaim struct {
	name  string
	value func(u *identity.User, groups Groups) any // "": the user has none
}

// userClaims are the claims about a user that clients get, OpenID Connect Core 5.1 and
// 5.4, and ours. They are the only ones: a claim that is not here is never written.
var userClaims = []userClaim{
	{"name", func(u *identity.User, _ Groups) any { return u.DisplayName }},
	{"given_name", func(u *identity.User, _ Groups) any { return u.Profile.GivenName }},
	{"family_name", func(u *identity.User, _ Groups) any { return u.Profile.FamilyName }},
	{"middle_name", func(u *identity.User, _ Groups) any { return u.Profile.MiddleName }},
	{"preferred_username", preferredUsername},
	{"nickname", func(u *identity.User, _ Groups) any { return u.Profile.Nickname }},
	{"profile", func(u *identity.User, _ Groups) any { return u.Profile.Page }},
	{"picture", func(u *identity.User, _ Groups) any { return u.Profile.Picture }},
	{"website", func(u *identity.User, _ Groups) any { return u.Profile.Website }},
	{"gender", func(u *identity.User, _ Groups) any { return u.Profile.Gender }},
	{"birthdate", func(u *identity.User, _ Groups) any { return u.Profile.Birthdate }},
	{"zoneinfo", func(u *identity.User, _ Groups) any { return u.Profile.Zoneinfo }},
	{"locale", func(u *identity.User, _ Groups) any { return u.Profile.Locale }},
	{"updated_at", updatedAt},
	{"email", func(u *identity.User, _ Groups) any { return u.Email }},
	{"email_verified", func(u *identity.User, _ Groups) any { return u.EmailVerified }},
	{"phone_number", func(u *identity.User, _ Groups) any { return u.Profile.Phone }},
	{"phone_number_verified", func(u *identity.User, _ Groups) any { return unverified(u.Profile.Phone) }},
	{"address", address},
	groupClaims[0], groupClaims[1], groupClaims[2],
	{"role", func(u *identity.User, _ Groups) any { return u.Role }},
	{"org_id", func(u *identity.User, _ Groups) any { return u.OrgID }},
}

var groupClaims = [...]userClaim{
	{"groups", func(_ *identity.User, groups Groups) any { return groups.Groups }},
	{"group_names", func(_ *identity.User, groups Groups) any {
		if groups.Names == nil {
			return ""
		}
		return groups.Names
	}},
	{"groups_truncated", func(_ *identity.User, groups Groups) any {
		if !groups.Truncated {
			return ""
		}
		return true
	}},
}

// ClaimNames are the claims that ID tokens and userinfo may have, besides custom ones.
func ClaimNames() []string {
	names := []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "azp", "nonce", "at_hash", "sid"}
	for _, claim := range userClaims {
		names = append(names, claim.name)
	}
	return names
}

// preferredUsername is the e-mail address, which is the name that the user signs in with.
// An address that is not verified is not one to know a user by, and the claim has no
// mark for that as the address has.
func preferredUsername(u *identity.User, _ Groups) any {
	if !u.EmailVerified {
		return ""
	}
	return u.Email
}

// updatedAt is in seconds since 1970; a profile that was never changed has none.
func updatedAt(u *identity.User, _ Groups) any {
	if u.UpdatedAt.IsZero() {
		return ""
	}
	return u.UpdatedAt.Unix()
}

// unverified is the claim that a value is not verified; without the value there is none.
func unverified(value string) any {
	if value == "" {
		return ""
	}
	return false
}

// address is a JSON object, Core 5.1.1.
func address(u *identity.User, _ Groups) any {
	if u.Profile.Address == (identity.Address{}) {
		return ""
	}
	return u.Profile.Address
}

// aboutUser returns the claims about a user that the scope covers, those of requested
// that the client could ask for by scope, too (OpenID Connect Core 5.5), and its custom
// ones.
func aboutUser(u identity.User, groups Groups, c oauth.Client, scope string, requested []string) map[string]any {
	about := map[string]any{}
	scopes := strings.Fields(scope)
	for _, claim := range userClaims {
		of := oauth.ScopeOfClaim(claim.name)
		if slices.Contains(scopes, of) || slices.Contains(requested, claim.name) && slices.Contains(c.Scopes, of) {
			if value := claim.value(&u, groups); value != "" {
				about[claim.name] = value
			}
		}
	}
	if about["email"] == nil { // only the scope email shows the address
		delete(about, "preferred_username")
	}
	customClaims(about, c, u.Metadata)
	return about
}

// customClaims adds the claims that the client is registered with, of a user with this
// metadata. What the metadata lacks, or has as null, is left out (OpenID Connect Core
// 5.3.2), and no claim that means something to others is replaced.
func customClaims(about map[string]any, c oauth.Client, metadata string) {
	for name, source := range c.Claims {
		value := source.Value
		if source.Path != "" {
			value = at(json.RawMessage(metadata), source.Path)
		}
		if len(value) > 0 && string(value) != "null" && !oauth.ReservedClaim(name) {
			about[name] = value
		}
	}
}

// at returns the value at a dotted path into a JSON object; nil: there is none.
func at(value json.RawMessage, path string) json.RawMessage {
	for step := range strings.SplitSeq(path, ".") {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return nil
		}
		value = object[step]
	}
	return value
}

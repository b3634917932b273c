package oauth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Limits of the fields of a client.
const (
	maxEntries = 50       // of a list
	maxLogo    = 32 << 10 // bytes of the data URI
	maxClaims  = 8 << 10  // bytes of the custom claims as JSON
	maxScope   = 255      // bytes

	minLifetime        = 60             // seconds
	maxRefreshLifetime = 90 * 24 * 3600 // seconds: the absolute end of a family
	maxReuseGrace      = 60             // seconds
)

// problems returns what is wrong with the client by itself. Whether roles, groups, keys
// and algorithms exist, package client decides.
func (c Client) problems() []Problem {
	return slices.Concat(c.basicProblems(), c.uriProblems(), c.grantProblems(), c.lifetimeProblems(), c.claimProblems())
}

func (c Client) basicProblems() (problems []Problem) {
	methods := []string{AuthNone}
	switch c.Kind {
	case KindSPA, KindNative:
	case KindWeb:
		methods = []string{AuthNone, AuthSecretBasic, AuthSecretPost, AuthPrivateKeyJWT}
	case KindMachine:
		methods = []string{AuthSecretBasic, AuthSecretPost, AuthPrivateKeyJWT}
	default:
		return []Problem{wrong("kind", "must be one of spa, web, native, machine")}
	}
	if !slices.Contains(methods, c.AuthMethod) {
		problems = append(problems, wrong("token_endpoint_auth_method", "must be one of "+strings.Join(methods, ", ")+" for a client of the kind "+string(c.Kind)))
	}
	if (c.AuthMethod == AuthPrivateKeyJWT) != (len(c.JWKS) > 0) {
		problems = append(problems, wrong("jwks", "must be given with the method private_key_jwt, and with no other"))
	}
	if c.Public() && !c.RequirePKCE {
		problems = append(problems, wrong("require_pkce", "must be true for a public client"))
	}
	if why := logoProblem(c.LogoURI); why != "" {
		problems = append(problems, wrong("logo_uri", why))
	}
	return problems
}

// uriProblems checks all URIs but the logo.
func (c Client) uriProblems() (problems []Problem) {
	each := func(field string, uris []string, check func(string) error) {
		if len(uris) > maxEntries {
			problems = append(problems, wrong(field, fmt.Sprintf("must have at most %d entries", maxEntries)))
			return
		}
		for _, uri := range uris {
			if err := check(uri); err != nil {
				problems = append(problems, wrong(field, err.Error()))
			}
		}
	}
	optional := func(uri string) []string {
		if uri == "" {
			return nil
		}
		return []string{uri}
	}
	redirect := func(uri string) error { return ValidateRedirectURI(c.Kind, uri) }
	web := func(uri string) error { return ValidateRedirectURI(KindWeb, uri) }
	each("redirect_uris", c.RedirectURIs, redirect)
	each("post_logout_redirect_uris", c.PostLogoutRedirectURIs, redirect)
	each("allowed_origins", c.AllowedOrigins, validateOrigin)
	each("backchannel_logout_uri", optional(c.BackchannelLogoutURI), web)
	each("frontchannel_logout_uri", optional(c.FrontchannelLogoutURI), c.validateFrontchannel)
	each("policy_uri", optional(c.PolicyURI), web)
	each("tos_uri", optional(c.TOSURI), web)
	each("client_uri", optional(c.ClientURI), web)
	if len(c.RedirectURIs) == 0 && c.Allows(GrantCode) {
		problems = append(problems, wrong("redirect_uris", "must have a URI for the grant type authorization_code"))
	}
	return problems
}

// ValidateAudience checks a resource, RFC 8707 section 2. As an absolute URI it never
// equals a client_id (RFC 9700 section 4.15), which has no colon; that of the client that
// is built in is among the names of this server.
func ValidateAudience(uri string) error {
	_, err := parseURI(uri)
	if err == nil && strings.HasPrefix(uri, "urn:pico-auth:") {
		err = fmt.Errorf("must not begin with urn:pico-auth:, as names of this server do")
	}
	return err
}

// validateOrigin checks an origin as browsers write it, RFC 6454 section 6.2. Another
// form would never match.
func validateOrigin(origin string) error {
	if err := ValidateRedirectURI(KindWeb, origin); err != nil {
		return err
	}
	if o, _ := Origin(origin); o != origin {
		return fmt.Errorf("must be an origin such as https://app.example, without path and standard port")
	}
	return nil
}

// validateFrontchannel checks that the URI has the scheme, host and port of a redirect
// URI, OpenID Connect Front-Channel Logout 2.
func (c Client) validateFrontchannel(uri string) error {
	if err := ValidateRedirectURI(KindWeb, uri); err != nil {
		return err
	}
	origin, _ := Origin(uri)
	if !slices.Contains(c.redirectOrigins(), origin) {
		return fmt.Errorf("must have the scheme, host and port of a redirect URI")
	}
	return nil
}

// Origin is the web origin of an http or https URI, as a browser sends it; ok is false
// for other schemes, which have none.
func Origin(uri string) (origin string, ok bool) {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" {
		return "", false
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		return "https://" + strings.TrimSuffix(host, ":443"), true
	case "http":
		return "http://" + strings.TrimSuffix(host, ":80"), true
	default:
		return "", false
	}
}

// Origins are those whose scripts may read the responses to the client: the registered
// ones, else those of its redirect URIs.
func (c Client) Origins() []string {
	if len(c.AllowedOrigins) > 0 {
		return c.AllowedOrigins
	}
	return c.redirectOrigins()
}

func (c Client) redirectOrigins() (origins []string) {
	for _, uri := range c.RedirectURIs {
		if origin, ok := Origin(uri); ok && !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins
}

func (c Client) grantProblems() (problems []Problem) {
	known := []string{GrantCode, GrantRefresh, GrantClientCredentials, GrantDevice}
	if len(c.GrantTypes) == 0 {
		problems = append(problems, wrong("grant_types", "must not be empty"))
	}
	for _, grant := range c.GrantTypes {
		switch {
		case !slices.Contains(known, grant):
			problems = append(problems, wrong("grant_types", "must be some of "+strings.Join(known, ", ")))
		case grant == GrantClientCredentials && c.Public(): // RFC 6749 section 4.4
			problems = append(problems, wrong("grant_types", "must not have client_credentials without a secret or a key"))
		}
	}
	for field, list := range map[string][]string{
		"scopes": c.Scopes, "audiences": c.Audiences, "allowed_groups": c.AllowedGroups, "allowed_roles": c.AllowedRoles,
	} {
		if len(list) > maxEntries {
			problems = append(problems, wrong(field, fmt.Sprintf("must have at most %d entries", maxEntries)))
		}
	}
	for _, scope := range c.Scopes {
		if !scopePattern.MatchString(scope) || len(scope) > maxScope {
			problems = append(problems, wrong("scopes", "must be ASCII words without quotes and backslashes of at most 255 bytes"))
			break
		}
	}
	return problems
}

// scopePattern is scope-token, RFC 6749 section 3.3.
var scopePattern = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`)

func (c Client) lifetimeProblems() (problems []Problem) {
	if c.RefreshTokenLifetime != 0 && (c.RefreshTokenLifetime < minLifetime || c.RefreshTokenLifetime > maxRefreshLifetime) {
		problems = append(problems, wrong("refresh_token_lifetime", fmt.Sprintf("must be from %d to %d seconds, or 0", minLifetime, maxRefreshLifetime)))
	}
	if c.RefreshReuseGrace < 0 || c.RefreshReuseGrace > maxReuseGrace {
		problems = append(problems, wrong("refresh_reuse_grace_seconds", fmt.Sprintf("must be from 0 to %d", maxReuseGrace)))
	}
	return problems
}

// LifetimeProblems checks the lifetimes of access and ID tokens against that of the
// server's access tokens, in seconds: keys are published that long after their last use.
func (c Client) LifetimeProblems(longest int) (problems []Problem) {
	for field, seconds := range map[string]int{"access_token_lifetime": c.AccessTokenLifetime, "id_token_lifetime": c.IDTokenLifetime} {
		if seconds != 0 && (seconds < minLifetime || seconds > longest) {
			problems = append(problems, wrong(field, fmt.Sprintf("must be from %d to %d seconds (auth.access_token_expire_minutes), or 0", minLifetime, longest)))
		}
	}
	return problems
}

// logoProblem checks a data URI of a PNG or WebP image; empty: it is fine.
func logoProblem(uri string) string {
	if uri == "" {
		return ""
	}
	const rule = "must be a data URI of a PNG or WebP image in base64 of at most 32 KiB"
	if len(uri) > maxLogo {
		return rule
	}
	for prefix, magic := range map[string]string{"data:image/png;base64,": "\x89PNG\r\n\x1a\n", "data:image/webp;base64,": "RIFF"} {
		if encoded, found := strings.CutPrefix(uri, prefix); found {
			image, err := base64.StdEncoding.DecodeString(encoded)
			if err == nil && !strings.ContainsAny(encoded, "\r\n") && bytes.HasPrefix(image, []byte(magic)) {
				return ""
			}
		}
	}
	return rule
}

// reservedClaims are those that the server sets itself, and those of which others
// believe that it does.
var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "nonce", "auth_time", "acr", "amr", "at_hash", "c_hash", "s_hash", "sid",
	"client_id", "scope", "cnf", "act", "may_act", "events", "toe", "txn", "sub_id", "sub_jwk", "trust_chain", "authorization_details",
	"name", "given_name", "family_name", "middle_name", "nickname", "profile", "picture", "website", "email", "email_verified", "gender",
	"birthdate", "zoneinfo", "locale", "phone_number", "phone_number_verified", "address", "updated_at", "role", "roles", "org_id", "groups", "group_names", "groups_truncated",
	"token_use", "token_type", "typ", "active", "username", "preferred_username", "entitlements", "_claim_names", "_claim_sources",
}

// ReservedClaim reports whether no custom claim may have the name. Case does not count:
// some decoders, that of Go among them, read Role as role.
func ReservedClaim(name string) bool { return slices.Contains(reservedClaims, strings.ToLower(name)) }

// claimPath is a path into the metadata of a user, with names of any length.
var claimPath = regexp.MustCompile(`^(admin|user)(\.[A-Za-z0-9_-]+){1,8}$`)

func isClaimPath(s string) bool {
	long := func(name string) bool { return len(name) > 64 }
	return claimPath.MatchString(s) && !slices.ContainsFunc(strings.Split(s, "."), long)
}

func (c Client) claimProblems() (problems []Problem) {
	for name, source := range c.Claims {
		switch {
		case ReservedClaim(name):
			problems = append(problems, wrong("claims", "must not set a claim that the server sets or reserves"))
		case !scopePattern.MatchString(name) || len(name) > maxScope:
			problems = append(problems, wrong("claims", "must have names of ASCII characters without spaces, quotes and backslashes"))
		case (source.Path != "") == source.constant():
			problems = append(problems, wrong("claims", "must have either a path or a value for each claim"))
		case source.Path != "" && !isClaimPath(source.Path):
			problems = append(problems, wrong("claims", "must have paths such as admin.department or user.theme.color"))
		}
	}
	if encoded, err := json.Marshal(c.Claims); err != nil || len(encoded) > maxClaims || len(c.Claims) > maxEntries {
		problems = append(problems, wrong("claims", fmt.Sprintf("must be at most %d claims of %d bytes together", maxEntries, maxClaims)))
	}
	return problems
}

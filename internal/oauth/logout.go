package oauth

import "slices"

// PostLogoutRedirect reports whether the browser may be sent to the URI after a logout
// that the client has asked for: it is one that the client registered, compared exactly
// (OpenID Connect RP-Initiated Logout 1.0, section 3).
func (c Client) PostLogoutRedirect(uri string) bool {
	return uri != "" && !c.Suspended && slices.Contains(c.PostLogoutRedirectURIs, uri)
}

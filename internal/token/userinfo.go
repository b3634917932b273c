package token

import "encoding/json"

// UserInfo returns the response of the userinfo endpoint to a token that Verify and
// Holder accepted, OpenID Connect Core 5.3.2. Its sub is that of the ID token.
func (i *Issuer) UserInfo(a Access, h Holder) map[string]any {
	var asked struct {
		UserInfo map[string]any `json:"userinfo"`
	}
	_ = json.Unmarshal([]byte(h.Claims), &asked) // the authorization endpoint has checked it
	var requested []string
	for name := range asked.UserInfo {
		requested = append(requested, name)
	}
	about := aboutUser(h.User, i.GroupsOf(h), h.Client, a.Scope, requested)
	about["sub"] = h.User.ID
	return about
}

package token

import "github.com/pico-auth/pico-auth/internal/jose"

// Hint is what an ID token of this server says, RP-Initiated Logout 2.
type Hint struct {
	UserID    string
	ClientID  string
	SessionID string // the claim sid
}

// Hint returns what an ID token says that this server signed, expired or not; false:
// it is none, or its key is not published any more. It proves nothing about who
// presents it: ID tokens travel in addresses.
func (i *Issuer) Hint(idToken string) (Hint, bool) {
	payload, h, err := jose.Verify(idToken, func(h jose.Header) (*jose.PublicKey, error) {
		return i.keys.Published().Key(h.KeyID), nil
	})
	if err != nil || h.Type != jose.TypeJWT {
		return Hint{}, false
	}
	claims, err := jose.ParseObject(payload)
	if err != nil {
		return Hint{}, false
	}
	text := func(name string) string {
		s, _ := claims[name].(string)
		return s
	}
	hint := Hint{UserID: text("sub"), ClientID: text("aud"), SessionID: text("sid")}
	// Each of our ID tokens has at_hash; access tokens and logout tokens have not.
	ours := text("iss") == i.issuer && text("at_hash") != "" && hint.UserID != "" && hint.ClientID != "" && text("azp") == hint.ClientID
	return hint, ours
}

// HintedUser returns the user that an ID token of the client is about; empty: it is not
// one.
func (i *Issuer) HintedUser(idToken, clientID string) string {
	if hint, ours := i.Hint(idToken); ours && hint.ClientID == clientID {
		return hint.UserID
	}
	return ""
}

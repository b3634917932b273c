package token

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// logoutLifetime is the lifetime of a logout token, at most two minutes (OpenID Connect
// Back-Channel Logout 4).
const logoutLifetime = 2 * time.Minute

// logoutEvent is the one event of a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutClaims are the claims of a logout token, OpenID Connect Back-Channel Logout 2.4.
type logoutClaims struct {
	Issuer   string                       `json:"iss"`
	Subject  string                       `json:"sub"`
	Audience string                       `json:"aud"`
	IssuedAt int64                        `json:"iat"`
	Expires  int64                        `json:"exp"`
	ID       string                       `json:"jti"`
	Events   map[string]map[string]string `json:"events"`
	Session  string                       `json:"sid"`
}

// LogoutToken signs a token that tells the client that the session of the user has
// ended, with the algorithm of its ID tokens.
func (i *Issuer) LogoutToken(c oauth.Client, userID, sessionID string) (string, error) {
	signer, err := i.keys.Signer(idAlgorithm(c))
	if err != nil {
		return "", err
	}
	now := i.now()
	body, err := json.Marshal(logoutClaims{
		Issuer: i.issuer, Subject: userID, Audience: c.ID, IssuedAt: now.Unix(), Expires: now.Add(logoutLifetime).Unix(),
		ID: uuid.NewString(), Events: map[string]map[string]string{logoutEvent: {}}, Session: sessionID,
	})
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	return signer.Sign(jose.TypeLogoutToken, body)
}

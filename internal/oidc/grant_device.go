package oidc

import (
	"context"
	"errors"

	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/token"
)

// deviceRefusals are what a device is told, RFC 8628 section 3.5.
var deviceRefusals = []struct {
	err     error
	refusal *oauth.Error
}{
	{token.ErrDevicePending, oauth.Refuse(oauth.AuthorizationPending, "the user has not decided yet")},
	{token.ErrDeviceTooSoon, oauth.Refuse(oauth.SlowDown, "ask less often: five seconds more between two requests")},
	{token.ErrDeviceExpired, oauth.Refuse(oauth.ExpiredToken, "the device code has expired; start again")},
	{token.ErrDeviceDenied, oauth.Refuse(oauth.AccessDenied, "the user denied the request")},
	{token.ErrNoDevice, oauth.Refuse(oauth.InvalidGrant, "the device code is unknown or was used")},
}

// grantDevice is the exchange of a device code, RFC 8628 section 3.4.
func (p *Provider) grantDevice(ctx context.Context, r tokenRequest) (token.Pair, error) {
	code, err := r.required("device_code")
	if err != nil {
		return token.Pair{}, err
	}
	asked := r.asked()
	asked.Scope = ""
	pair, err := p.tokens.Device(ctx, r.by, asked, code)
	for _, known := range deviceRefusals {
		if errors.Is(err, known.err) {
			return token.Pair{}, known.refusal
		}
	}
	return pair, err
}

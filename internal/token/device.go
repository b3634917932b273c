package token

import (
	"context"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// DeviceInterval is how long a device waits between two requests, RFC 8628 section 3.2.
const DeviceInterval = 5 * time.Second

// The refusals of a device code, RFC 8628 section 3.5.
var (
	ErrDevicePending = store.ErrDevicePending
	ErrDeviceTooSoon = store.ErrDeviceTooSoon
	ErrDeviceExpired = store.ErrDeviceExpired
	ErrDeviceDenied  = store.ErrDeviceDenied
	ErrNoDevice      = store.ErrNoDevice
)

// Device returns the tokens of a client for the device code that it presents, once the
// user has allowed the device; before, one of these refusals. The user was
// authenticated as the session says in which they allowed it.
func (i *Issuer) Device(ctx context.Context, by identity.Actor, r ClientRequest, code string) (Pair, error) {
	hash := hashOf(code)
	device, err := i.store.PollDevice(ctx, r.Client.ID, hash, DeviceInterval)
	if err != nil {
		return Pair{}, err
	}
	return i.MintForClient(ctx, r, Authorization{
		Granted: Granted{Scope: device.Scope, Audience: device.Resource},
		Commit: func(ctx context.Context, first *store.NewFamily) (store.Subject, error) {
			return i.store.RedeemDevice(ctx, by, hash, *first)
		},
	})
}

package authorize

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// DeviceLifetime is how long a device waits for its user.
const DeviceLifetime = 10 * time.Minute

// maxUserCodes is how many user codes are tried: of 20,000 that wait, one in a million is
// taken.
const maxUserCodes = 5

// The refusals of a user code.
var (
	ErrNoUserCode       = store.ErrNoUserCode       // wrong or expired; five a session
	ErrWrongDeviceCodes = store.ErrWrongDeviceCodes // there were five
	ErrMayNotUse        = store.ErrMayNotUse        // the user may not use the client
)

// DeviceCodes are what a device gets: its own code, and the one that its user types.
type DeviceCodes struct {
	Device Secret
	User   string // as users read it
}

// StartDevice lets a device of the client wait for its user, RFC 8628 section 3.2.
func (q *Requests) StartDevice(ctx context.Context, by identity.Actor, c oauth.Client, scope string, resources []string) (DeviceCodes, error) {
	if err := q.throttle.WaitingRequest(ctx, by); err != nil {
		return DeviceCodes{}, err
	}
	device := newSecret()
	for range maxUserCodes {
		d := store.Device{
			UserCode: newUserCode(), ClientID: c.ID, Scope: scope, Resource: strings.Join(resources, " "),
			Address: by.Address, Network: by.Network, ExpiresAt: q.now().Add(DeviceLifetime),
		}
		free, err := q.store.InsertDevice(ctx, d, device.hash())
		if err != nil {
			return DeviceCodes{}, fmt.Errorf("store device code: %w", err)
		}
		if free {
			return DeviceCodes{device, oauth.ShowUserCode(d.UserCode)}, nil
		}
	}
	return DeviceCodes{}, errors.New("no user code is free")
}

func newUserCode() string {
	var bits [8 * 4]byte
	_, _ = rand.Read(bits[:]) // never fails: it ends the process instead
	var random [8]uint32
	for i := range random {
		random[i] = binary.BigEndian.Uint32(bits[4*i:])
	}
	return oauth.NewUserCode(random)
}

// Device is a device that waits, as the page shows it before the user decides (RFC 8628
// section 5.4): the user compares the code, and sees which client asks, and from where.
type Device struct {
	Code      string // as users read it
	Client    oauth.Client
	Scopes    []string
	Address   string // of the device
	CreatedAt time.Time
}

// Device returns the device whose code the user typed; by is the user with the session
// of their browser.
func (q *Requests) Device(ctx context.Context, by identity.Actor, typed string) (Device, error) {
	var d store.Device
	err := q.throttle.UserCode(ctx, by, func() (err error) {
		d, err = q.store.DeviceByUserCode(ctx, by.UserID(), by.SessionID, oauth.ParseUserCode(typed))
		return err
	})
	if err != nil {
		return Device{}, fmt.Errorf("find device: %w", err)
	}
	c, err := q.store.Client(ctx, d.ClientID)
	if err != nil {
		return Device{}, fmt.Errorf("read the client of a device: %w", err)
	}
	return Device{
		Code: oauth.ShowUserCode(d.UserCode), Client: c, Scopes: strings.Fields(d.Scope), Address: d.Address, CreatedAt: d.CreatedAt,
	}, nil
}

// DecideDevice records whether the user allows the device what it asks for, once. Too many
// decisions of the user are Throttled.
func (q *Requests) DecideDevice(ctx context.Context, by identity.Actor, typed string, allow bool) error {
	if err := q.throttle.Grant(ctx, by, by.UserID(), ""); err != nil {
		return err
	}
	act := store.Act{Action: identity.ActionDevice, By: by}
	err := q.throttle.UserCode(ctx, by, func() error { return q.store.DecideDevice(ctx, act, oauth.ParseUserCode(typed), allow) })
	if err != nil {
		q.audit.Refused(ctx, act, "", err)
		return fmt.Errorf("decide about a device: %w", err)
	}
	return nil
}

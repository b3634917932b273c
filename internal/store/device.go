package store

import (
	"context"
	"errors"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

const (
	// maxDevices bounds the device codes that wait for a user, over all networks, and
	// maxDevicesOfNetwork those of one: others must be able to sign their devices in.
	maxDevices          = 20_000
	maxDevicesOfNetwork = 500

	// maxWrongDeviceCodes is how many wrong user codes a session may enter.
	maxWrongDeviceCodes = 5

	// deviceRemembered is for how long an expired device code is told from an unknown one.
	deviceRemembered = 10 * time.Minute
)

// The statuses of a device code.
const (
	devicePending = "pending"
	deviceAllowed = "allowed"
	deviceDenied  = "denied"
)

// Why a device gets no tokens (RFC 8628 section 3.5).
var (
	ErrDevicePending = fault.New(fault.Conflict, "authorization_pending", "the user has not decided yet")
	ErrDeviceTooSoon = fault.New(fault.Conflict, "slow_down", "the device asks too often")
	ErrDeviceExpired = fault.New(fault.Gone, "expired_token", "the device code has expired")
	ErrDeviceDenied  = fault.New(fault.Conflict, "access_denied", "the user denied the request")
	ErrNoDevice      = fault.New(fault.NotFound, "not_found", "the device code is unknown or was used")
)

// ErrNoUserCode refuses a user code, and ErrWrongDeviceCodes any one after too many
// wrong ones.
var (
	ErrNoUserCode       = fault.New(fault.NotFound, "not_found", "this code is not valid, or it has expired; start again on the device")
	ErrWrongDeviceCodes = fault.New(fault.Forbidden, "too_many_codes", "too many wrong codes were entered; sign out and in again")

	// ErrMayNotUse refuses a user whom the client of a device does not sign in.
	ErrMayNotUse = fault.New(fault.Forbidden, "may_not_use", "you may not use this application")

	errTooManyDevices = fault.New(fault.Throttled, "rate_limited", "too many devices wait for a user")
)

// Device is a device that asks to be signed in, RFC 8628.
type Device struct {
	UserCode  string
	ClientID  string
	Scope     string
	Resource  string // optional
	Address   string // of the device
	Network   string // of that address
	CreatedAt time.Time
	ExpiresAt time.Time
}

// InsertDevice stores the device and the hash of its code, and reports whether the user
// code was free. The number of those that wait is limited.
func (s *Store) InsertDevice(ctx context.Context, d Device, hash string) (free bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		var all, network int
		_, err := t.get([]any{&all, &network}, `SELECT (SELECT COUNT(*) FROM device_codes),
			(SELECT COUNT(*) FROM device_codes WHERE network = $1 AND expires_at > $2)`, d.Network, t.stamp())
		switch {
		case err != nil:
			return err
		case all >= maxDevices || network >= maxDevicesOfNetwork:
			return errTooManyDevices
		}
		n, err := t.exec(`INSERT INTO device_codes (device_hash, user_code, client_id, scope, resource, address, network, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (user_code) DO NOTHING`,
			hash, d.UserCode, d.ClientID, d.Scope, d.Resource, d.Address, d.Network, t.stamp(), FormatTime(d.ExpiresAt))
		free = n == 1
		return err
	})
	return free, err
}

// DeviceByUserCode returns the device that waits for the user of the session;
// ErrNoUserCode, which counts, or after too many of these ErrWrongDeviceCodes.
func (s *Store) DeviceByUserCode(ctx context.Context, userID, sessionID, code string) (d Device, err error) {
	err = s.write(ctx, func(t *tx) error {
		d, err = t.deviceByUserCode(userID, sessionID, code)
		return err
	})
	return d, err
}

func (t *tx) deviceByUserCode(userID, sessionID, code string) (d Device, err error) {
	var wrong int
	alive, err := t.get([]any{&wrong}, "SELECT s.wrong_device_codes FROM sessions s WHERE s.id = $1 AND s.user_id = $2 AND s.ended_at IS NULL"+t.forUpdate("s"),
		sessionID, userID)
	switch {
	case err != nil:
		return d, err
	case !alive:
		return d, identity.ErrInvalidToken
	case wrong >= maxWrongDeviceCodes:
		return d, ErrWrongDeviceCodes
	}
	// What ends a client locks devices before the client, and so does allowDevice.
	found, err := t.get([]any{
		&d.UserCode, &d.ClientID, &d.Scope, &d.Resource, &d.Address, &d.Network, timeColumn{&d.CreatedAt}, timeColumn{&d.ExpiresAt},
	}, `SELECT user_code, client_id, scope, resource, address, network, created_at, expires_at FROM device_codes d
		WHERE user_code = $1 AND status = '`+devicePending+`' AND expires_at > $2`+t.forUpdate("d"), code, t.stamp())
	if err != nil || found {
		return d, err
	}
	if _, err := t.exec("UPDATE sessions SET wrong_device_codes = wrong_device_codes + 1 WHERE id = $1", sessionID); err != nil {
		return d, err
	}
	return d, kept{ErrNoUserCode}
}

// DecideDevice records that the user of the session, which is that of the actor, allows
// the device or denies it. Each device is decided once; the same decision of the session
// again, such as by a second click, is no error.
func (s *Store) DecideDevice(ctx context.Context, act Act, code string, allow bool) error {
	return s.write(ctx, func(t *tx) error {
		u, err := t.user(act.By.UserID(), t.forUpdate("u")) // before the session, as others lock them
		if err != nil {
			return err
		}
		status := deviceDenied
		if allow {
			status = deviceAllowed
		}
		var one int64
		if decided, err := t.get([]any{&one}, "SELECT 1 FROM device_codes WHERE user_code = $1 AND session_id = $2 AND status = $3",
			code, act.By.SessionID, status); err != nil || decided {
			return err
		}
		d, err := t.deviceByUserCode(u.ID, act.By.SessionID, code)
		if err == nil && allow {
			err = t.allowDevice(u.ID, d)
		}
		if err != nil {
			return err
		}
		n, err := t.exec("UPDATE device_codes SET status = $1, user_id = $2, session_id = $3 WHERE user_code = $4 AND status = '"+devicePending+"' AND expires_at > $5",
			status, u.ID, act.By.SessionID, code, t.stamp())
		if err == nil && n != 1 {
			err = ErrNoUserCode
		}
		if err != nil {
			return err
		}
		act.Detail = status + " scope " + d.Scope
		return t.done(act, d.ClientID, u.OrgID)
	})
}

// allowDevice checks that the client of the device signs the user in, and remembers
// what the user has allowed it.
func (t *tx) allowDevice(userID string, d Device) error {
	policy, err := t.clientPolicy(d.ClientID, t.forShare("c"))
	if err != nil {
		return err
	}
	if _, _, err := t.userForClient(userID, policy, t.forShare("u")); err != nil {
		if errors.Is(err, identity.ErrInvalidToken) {
			err = ErrMayNotUse
		}
		return err
	}
	var granted string
	if _, err := t.get([]any{&granted}, "SELECT scope FROM consents WHERE user_id = $1 AND client_id = $2", userID, d.ClientID); err != nil {
		return err
	}
	return t.giveConsent(userID, d.ClientID, oauth.JoinScopes(granted, d.Scope))
}

// PollDevice returns the device of the client whose code has the hash, once its user has
// allowed it: RedeemDevice is next. Otherwise it is ErrDevicePending or another one of
// these errors; a code of another client is ErrNoDevice.
//
// A device that asks earlier than the interval after its last question is ErrDeviceTooSoon,
// which writes nothing.
func (s *Store) PollDevice(ctx context.Context, clientID, hash string, interval time.Duration) (d Device, err error) {
	var status string
	var polled time.Time
	err = s.lookup(ctx, func(t *tx) error {
		found, err := t.get([]any{&d.Scope, &d.Resource, &status, timeColumn{&polled}, timeColumn{&d.ExpiresAt}},
			"SELECT scope, resource, status, polled_at, expires_at FROM device_codes WHERE device_hash = $1 AND client_id = $2", hash, clientID)
		switch {
		case err != nil:
			return err
		case !found:
			return ErrNoDevice
		case !d.ExpiresAt.After(t.now):
			return ErrDeviceExpired
		case status == deviceDenied:
			return ErrDeviceDenied
		case !polled.IsZero() && t.now.Before(polled.Add(interval)):
			return ErrDeviceTooSoon
		}
		return nil
	})
	if err != nil || status == deviceAllowed {
		return d, err
	}
	return d, s.write(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE device_codes SET polled_at = $1 WHERE device_hash = $2", t.stamp(), hash)
		if err != nil {
			return err
		}
		return kept{ErrDevicePending}
	})
}

// RedeemDevice stores what the client holds from now on of the user who allowed the
// device. Of any number of calls with one code exactly one succeeds; the others are
// ErrNoDevice.
func (s *Store) RedeemDevice(ctx context.Context, by identity.Actor, hash string, f NewFamily) (g Subject, err error) {
	err = s.write(ctx, func(t *tx) error {
		var sessionID, scope string
		redeemed, err := t.get([]any{&sessionID, &scope}, `DELETE FROM device_codes
			WHERE device_hash = $1 AND client_id = $2 AND status = '`+deviceAllowed+`' AND expires_at > $3 RETURNING session_id, scope`,
			hash, f.ClientID, t.stamp())
		if err == nil && !redeemed {
			err = ErrNoDevice
		}
		if err != nil {
			return err
		}
		if err := t.lockUserOf(sessionID); err != nil {
			return err
		}
		var a Authorization
		a.Request.ClientID = f.ClientID
		if err := t.completeAuthorization(&a, sessionID, t.forShare("u, c, s")); err != nil {
			return err
		}
		if g, err = t.startGrant(by, a, f); err == nil && len(oauth.MissingScopes(scope, a.Granted)) > 0 {
			err = ErrNoDevice // from now on a withdrawal ends the family
		}
		return err
	})
	if err != nil {
		return Subject{}, err
	}
	return g, nil
}

// PurgeDevices deletes up to batch device codes that expired some time ago (0: 200), and
// returns how many.
func (s *Store) PurgeDevices(ctx context.Context, batch int) (n int, err error) {
	if batch <= 0 {
		batch = defaultPurge
	}
	err = s.write(ctx, func(t *tx) error {
		// What ends a client locks devices in another order.
		removed, err := t.deleteUnlocked(selection{
			"device_codes", "device_hash", "expires_at < $1 ORDER BY expires_at LIMIT $2", []any{FormatTime(t.now.Add(-deviceRemembered)), batch},
		})
		n = int(removed)
		return err
	})
	return n, err
}

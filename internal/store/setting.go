package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// Registration returns the registration switch as an administrator set it; set
// is false when no administrator has.
func (s *Store) Registration(ctx context.Context) (enabled, set bool, err error) {
	value, set, err := s.setting(ctx, settingRegistration)
	return set && value == "true", set, err
}

// SetRegistration sets the switch. Only a superadmin may.
func (s *Store) SetRegistration(ctx context.Context, act Act, enabled bool) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.permit(act.By, identity.MayConfigure); err != nil {
			return err
		}
		if err := t.set(settingRegistration, strconv.FormatBool(enabled)); err != nil {
			return err
		}
		return t.done(act, settingRegistration, "")
	})
}

// AdoptedKey returns what was decided about the adopted installation's key.
func (s *Store) AdoptedKey(ctx context.Context) (AdoptedKey, error) {
	value, set, err := s.setting(ctx, settingAdoptedKey)
	switch {
	case err != nil || !set:
		return AdoptedKey{}, err
	case value == adoptedKeyPending:
		return AdoptedKey{Pending: true}, nil
	default:
		return AdoptedKey{Thumbprint: value}, nil
	}
}

// ExpectAdoptedKey records that it is undecided which key an adopted installation
// was signing with.
func ExpectAdoptedKey(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO settings (key, value) VALUES ($1, $2)", settingAdoptedKey, adoptedKeyPending)
	return err
}

var errKeyDecided = errors.New("the key of the adopted installation is decided already")

// SetAdoptedKey decides, once and for all, which key keeps the original's kid;
// an empty thumbprint: none. The same decision again is no error.
func (s *Store) SetAdoptedKey(ctx context.Context, thumbprint string) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.exec("UPDATE settings SET value = $1 WHERE key = $2 AND value IN ($3, $1)",
			thumbprint, settingAdoptedKey, adoptedKeyPending)
		if err == nil && n != 1 {
			err = errKeyDecided
		}
		return err
	})
}

func (s *Store) setting(ctx context.Context, key string) (value string, set bool, err error) {
	err = s.read(ctx, func(t *tx) error {
		set, err = t.get([]any{&value}, "SELECT value FROM settings WHERE key = $1", key)
		return err
	})
	return value, set, err
}

// setting returns a setting, empty when it is not set.
func (t *tx) setting(key string) (value string, err error) {
	_, err = t.get([]any{&value}, "SELECT value FROM settings WHERE key = $1", key)
	return value, err
}

func (t *tx) set(key, value string) error {
	_, err := t.exec("INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)
	return err
}

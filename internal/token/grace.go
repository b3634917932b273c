package token

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// graceLabel separates the key of a successor from other uses of the token.
const graceLabel = "pico-auth/refresh-successor/v1"

// graceKey is the key under which the successor of a refresh token is sealed. Only
// those who have the token can derive it: the database has its hash.
func graceKey(token string) (*seal.Master, error) {
	key, err := hkdf.Key(sha256.New, []byte(token), nil, graceLabel, seal.KeySize)
	if err != nil {
		return nil, err
	}
	return seal.New(key)
}

func successorPlace(id string) seal.Place {
	return seal.Place{Table: "refresh_tokens", Column: "successor", Row: id}
}

// sealFor keeps the refresh token of the draft for the client that has the presented
// one, whose exchange it is: the response may get lost, or another tab may present
// the same token.
func (d *draft) sealFor(presented string) error {
	key, err := graceKey(presented)
	if err != nil {
		return fmt.Errorf("derive the key of a successor: %w", err)
	}
	d.next.Sealed = key.Seal(successorPlace(d.next.ID), []byte(d.refresh))
	return nil
}

// repeat returns the draft whose tokens the presented one was exchanged for. The
// access token is signed again with the same ID and times, so that it is still one
// token for those who list or revoke it.
func repeat(presented string, s store.Successor) (draft, error) {
	key, err := graceKey(presented)
	if err != nil {
		return draft{}, fmt.Errorf("derive the key of a successor: %w", err)
	}
	refresh, err := key.Open(successorPlace(s.ID), s.Sealed)
	if err != nil {
		return draft{}, fmt.Errorf("open the successor of a refresh token: %w", err)
	}
	return draft{
		refresh: string(refresh), issuedAt: s.IssuedAt,
		next: store.NewRefresh{Hash: hashOf(string(refresh)), AccessJTI: s.AccessJTI, AccessExpiresAt: s.AccessExpiresAt},
	}, nil
}

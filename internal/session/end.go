package session

import (
	"context"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// End ends the session of the presented access token. It is no error if it has
// ended.
func (s *Sessions) End(ctx context.Context, by identity.Actor) error {
	if by.SessionID == "" {
		// Access tokens of the original name no session; the last one expires a
		// quarter of an hour after an adoption.
		return fault.BadField("refresh_token", "this access token names no session: send the refresh token")
	}
	act := store.Act{Action: identity.ActionLogout, By: by}
	if err := s.store.EndSession(ctx, act, by.SessionID); err != nil {
		return fmt.Errorf("log out: %w", err)
	}
	return nil
}

// EndByRefreshToken ends the session of the presented refresh token of the JSON
// login, used or not.
func (s *Sessions) EndByRefreshToken(ctx context.Context, by identity.Actor, presented string) error {
	p, err := s.tokens.Locate(identity.FirstPartyClient, presented)
	if err != nil {
		return s.tokens.Limited(ctx, by, err)
	}
	act := store.Act{Action: identity.ActionLogout, By: by}
	if _, err := s.store.EndSessionByToken(ctx, act, p); err != nil {
		return fmt.Errorf("log out: %w", s.tokens.Limited(ctx, by, err))
	}
	return nil
}

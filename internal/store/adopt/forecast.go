package adopt

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// Forecast is what an adoption would keep, drop and refuse.
type Forecast struct {
	Users, Groups, Memberships int
	RefreshTokens              int
	ServiceTokens              int // those not revoked

	DroppedTokens int      // refresh tokens: expired, or without a user who may sign in
	Dropped       []string // a sentence for each membership dropped
	Warnings      []string // oddities that would be kept
	Collisions    []string // rows that would become one row; they forbid adoption
	Resolving     []string // SQL that resolves the collisions, and loses nothing
	Problems      []string // everything else that forbids it
}

// Known reports whether New knows the database.
func Known(ctx context.Context, q engine.Querier, kind string) (bool, error) {
	_, err := inspect(ctx, q, kind)
	if errors.Is(err, errUnknown) {
		return false, nil
	}
	return err == nil, err
}

// Foresee returns what an adoption at the time now would do; known is false if
// New does not know the database.
func Foresee(ctx context.Context, q engine.Querier, kind string, now time.Time) (f Forecast, known bool, err error) {
	sh, err := inspect(ctx, q, kind)
	if errors.Is(err, errUnknown) {
		return Forecast{}, false, nil
	}
	if err != nil {
		return Forecast{}, false, err
	}
	o, err := readOriginal(ctx, q, sh)
	if err != nil {
		return Forecast{}, true, err
	}
	rows := translate(o, now, 0) // the forecast has no lifetimes
	f = Forecast{
		Users: len(rows.users), Groups: len(rows.groups), Memberships: len(rows.members),
		RefreshTokens: len(rows.refreshTokens), DroppedTokens: rows.expired + rows.ownerless,
		Dropped: rows.dropped, Warnings: rows.warnings, Collisions: rows.collisions, Resolving: rows.resolving,
		Problems: slices.Concat(sh.problems, rows.problems),
	}
	f.ServiceTokens = rows.activeServiceTokens()
	return f, true, nil
}

package token

import (
	"context"
	"fmt"
)

// RevokedJTIs lists the unexpired access tokens that are revoked, since their
// session or family ended, for verifiers that poll. It is never nil.
func (i *Issuer) RevokedJTIs(ctx context.Context) ([]string, error) {
	jtis, err := i.store.RevokedJTIs(ctx)
	if err != nil {
		return nil, fmt.Errorf("list revoked access tokens: %w", err)
	}
	return jtis, nil
}

package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/store"
)

// history is the rows that a server has read. A key never goes back in its lifecycle,
// whatever its row says later: a revoked key stays revoked until the process ends.
type history struct {
	seen     map[string]vault.Key // by key ID, as each valid row was read last
	reported map[string]string    // what was last reported of a row, by key ID
}

// merge returns the keys with the last valid row instead of each that went back, and
// with an active one whose row is missing, since no server deletes rows. A change that no
// server made is returned as the error, and once written to the log and the audit log.
func (h history) merge(ctx context.Context, k *keeper, now *keys) (*keys, error) {
	var all []error
	refuse := func(row store.SigningKey, cause error) { all = append(all, h.report(ctx, k, row, cause)) }
	merged := *now
	merged.Keys = slices.Clone(now.Keys)
	for i, row := range merged.Keys {
		before, known := h.seen[row.KID]
		if known && lifecycle.Rank(row.Status) < lifecycle.Rank(before.Status) {
			refuse(row, fmt.Errorf("the signing key %s is %s in the database and was %s; the change is ignored", row.KID, row.Status, before.Status))
			merged.Keys[i] = before.SigningKey
			continue
		}
		h.seen[row.KID] = now.of(row)
		delete(h.reported, row.KID)
	}
	for _, row := range now.all.Keys {
		if cause := now.refused[row.KID]; cause != nil {
			refuse(row, cause)
		}
	}
	for kid, key := range h.seen {
		if key.Status != store.KeyActive || now.all.Key(kid) != nil || merged.First(store.KeyActive, key.Algorithm) != nil {
			continue
		}
		refuse(key.SigningKey, fmt.Errorf("the row of the active signing key %s is missing in the database; the key is used until the next start", kid))
		merged.add(key)
	}
	return &merged, errors.Join(all...)
}

// report logs the cause once for each change of a row.
func (h history) report(ctx context.Context, k *keeper, row store.SigningKey, cause error) error {
	text := row.Status.String() + row.MAC + cause.Error()
	if h.reported[row.KID] == text {
		return nil
	}
	h.reported[row.KID] = text
	k.Log.Error("signing key row refused", "kid", row.KID, "algorithm", row.Algorithm, "status", row.Status.String(), "error", cause)
	act := store.Act{Action: identity.ActionKeyRefuse, By: system, Detail: problem(cause)}
	return errors.Join(cause, k.Store.NoteKey(ctx, act, row.KID))
}

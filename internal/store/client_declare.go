package store

import (
	"context"
	"slices"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// DeclareClient makes the client what the configuration says, with the secret of that
// hash and no other; empty: none. When nothing differs, nothing is written. The actor is
// the system.
func (s *Store) DeclareClient(ctx context.Context, act Act, c oauth.Client, secretHash string) error {
	may := func(actor identity.Principal, _ oauth.Client) error {
		if actor.Kind != identity.ActorSystem {
			return identity.ErrForbidden
		}
		return nil
	}
	return s.write(ctx, func(t *tx) error {
		_, before, err := t.changeable(act, c.ID, may)
		if fault.KindOf(err) == fault.NotFound {
			act := act
			act.Action = identity.ActionCreateClient
			_, err := t.insertClient(act, c, secretHash, may)
			return err
		}
		if err != nil {
			return err
		}
		c.Role = defaultRole(c, identity.System())
		hashes, err := collect(t, scanText, "SELECT secret_hash FROM client_secrets WHERE client_id = $1", c.ID)
		if err != nil {
			return err
		}
		wanted := slices.DeleteFunc([]string{secretHash}, func(hash string) bool { return hash == "" })
		if before.Declared && before.OrgID == c.OrgID && before.LogoURI == c.LogoURI && storedClient(before) == storedClient(c) && slices.Equal(hashes, wanted) {
			return nil
		}
		return t.redeclare(act, c, hashes, secretHash)
	})
}

func (t *tx) redeclare(act Act, c oauth.Client, hashes []string, secretHash string) error {
	if c.OrgID != "" {
		if _, err := t.organization(c.OrgID, t.forShare("o")); err != nil {
			return err
		}
	}
	if err := t.checkGroups(c); err != nil {
		return err
	}
	if _, err := t.exec("UPDATE clients SET org_id = $1 WHERE id = $2", c.OrgID, c.ID); err != nil {
		return err
	}
	if err := t.replaceClient(c); err != nil {
		return err
	}
	if secretHash != "" && !slices.Equal(hashes, []string{secretHash}) {
		if err := t.keepSecrets(c.ID, 0); err != nil {
			return err
		}
		if err := t.insertClientSecret(c.ID, secretHash); err != nil {
			return err
		}
	}
	act.Action = identity.ActionUpdateClient
	return t.done(act, c.ID, c.OrgID)
}

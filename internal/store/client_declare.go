package store

import (
	"context"
	"errors"
	"slices"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// DeclaredClient is a client of the configuration.
type DeclaredClient struct {
	Client     oauth.Client
	SecretHash string // of the only secret; empty: none
}

// errDeclaration keeps the transaction of DeclareClients from being committed.
var errDeclaration = errors.New("declared clients are refused")

// DeclareClients makes the clients what the configuration says, and returns the ids of
// those that it declared before and does not declare any more: they stay. What does not
// differ is not written. It is one transaction: when clients are refused, nothing
// changes, and refused has the reasons by their place in the list. The actor is the
// system.
func (s *Store) DeclareClients(ctx context.Context, act Act, all []DeclaredClient) (released []string, refused map[int]error, err error) {
	err = s.write(ctx, func(t *tx) error {
		released, refused = nil, map[int]error{}
		before, err := collect(t, scanText, "SELECT id FROM clients WHERE declared = 1 ORDER BY id")
		if err != nil {
			return err
		}
		var ids []string
		for i, d := range all {
			ids = append(ids, d.Client.ID)
			err := t.declareClient(act, d.Client, d.SecretHash)
			if kind := fault.KindOf(err); err != nil && (kind == fault.Internal || kind == fault.Unavailable) {
				return err
			}
			if err != nil {
				refused[i] = err
			}
		}
		if len(refused) > 0 {
			return errDeclaration
		}
		for _, id := range before {
			if slices.Contains(ids, id) {
				continue
			}
			if err := t.releaseClient(act, id); err != nil {
				return err
			}
			released = append(released, id)
		}
		return nil
	})
	if errors.Is(err, errDeclaration) {
		err = nil
	}
	return released, refused, err
}

// releaseClient leaves a client to the administrators.
func (t *tx) releaseClient(act Act, id string) error {
	c, err := t.client(id, t.forUpdate("c"))
	if err != nil {
		return err
	}
	if _, err := t.exec("UPDATE clients SET declared = 0, updated_at = $1 WHERE id = $2", t.stamp(), id); err != nil {
		return err
	}
	act.Action, act.Detail = identity.ActionUpdateClient, "not declared in the configuration any more"
	return t.done(act, id, c.OrgID)
}

func (t *tx) declareClient(act Act, c oauth.Client, secretHash string) error {
	may := func(actor identity.Principal, _ oauth.Client) error {
		if actor.Kind != identity.ActorSystem {
			return identity.ErrForbidden
		}
		return nil
	}
	if c.OrgID != "" {
		if _, err := t.organization(c.OrgID, t.forShare("o")); err != nil {
			if fault.KindOf(err) == fault.NotFound {
				err = fault.BadField("org_id", "org_id: no such organization")
			}
			return err
		}
	}
	_, before, err := t.changeable(act, c.ID, may)
	if fault.KindOf(err) == fault.NotFound {
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
}

func (t *tx) redeclare(act Act, c oauth.Client, hashes []string, secretHash string) error {
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

package store

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// ClientRule decides whether actor may make, change and delete the client.
type ClientRule func(actor identity.Principal, c oauth.Client) error

var (
	errClientExists = fault.New(fault.Conflict, "client_exists", "a client of this id exists, or something else has this id")
	errNoSecret     = fault.New(fault.Conflict, "no_client_secret", "the client does not authenticate with a secret")
	errNoSuchSecret = fault.New(fault.NotFound, "not_found", "the client has no such secret")
	errLastSecret   = fault.New(fault.Conflict, "last_client_secret", "the client has no other secret: create one first")
)

// maxSecrets of a client are valid at a time: the new one and the one that it replaces.
const maxSecrets = 2

// InsertClient stores a client with the hash of its first secret; empty: none. An id in
// use is a Conflict "client_exists". A client of an org_admin belongs to their
// organization, and one without a role gets that of defaultRole. The organization must
// exist; empty: users of all organizations.
func (s *Store) InsertClient(ctx context.Context, act Act, c oauth.Client, secretHash string, may ClientRule) (stored oauth.Client, err error) {
	err = s.write(ctx, func(t *tx) error {
		stored, err = t.insertClient(act, c, secretHash, may)
		return err
	})
	return stored, err
}

func (t *tx) insertClient(act Act, c oauth.Client, secretHash string, may ClientRule) (oauth.Client, error) {
	actor, err := t.principal(act.By, t.forShare)
	if err != nil {
		return oauth.Client{}, err
	}
	if c.OrgID == "" && actor.Role != identity.Superadmin {
		c.OrgID = actor.OrgID
	}
	c.Role = defaultRole(c, actor)
	if err := may(actor, c); err != nil {
		return oauth.Client{}, err
	}
	if c.OrgID != "" {
		if _, err := t.organization(c.OrgID, t.forShare("o")); err != nil {
			return oauth.Client{}, err
		}
	}
	if err := t.checkGroups(c); err != nil {
		return oauth.Client{}, err
	}
	if err := t.claimAudiences(actor, c.OrgID, c.Audiences, nil); err != nil {
		return oauth.Client{}, err
	}
	if act.By.Kind == identity.ActorUser {
		c.CreatedBy = act.By.ID
	}
	c.CreatedAt = t.now
	// An id of a user is never one of a client (RFC 9700 section 4.15).
	n, err := t.exec(`INSERT INTO clients (id, org_id, status, metadata, logo, declared, created_by, created_at, updated_at)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $8 WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = $1)
			AND NOT EXISTS (SELECT 1 FROM service_tokens WHERE id = $1) ON CONFLICT (id) DO NOTHING`,
		c.ID, c.OrgID, string(identity.Active), storedClient(c), c.LogoURI, oneIf(c.Declared), c.CreatedBy, t.stamp())
	if err == nil && n == 0 {
		err = errClientExists
	}
	if err == nil && secretHash != "" {
		err = t.insertClientSecret(c.ID, secretHash)
	}
	if err != nil {
		return oauth.Client{}, err
	}
	return c, t.done(act, c.ID, c.OrgID)
}

// defaultRole is the role of the client: its own, else the weakest one if it has tokens
// without a user, since nothing else limits these. The tokens of others are limited by the
// role of their user, so they get that of their creator, but in an organization at most
// that of the administrators there.
func defaultRole(c oauth.Client, creator identity.Principal) string {
	role := creator.Role
	switch {
	case c.Allows(oauth.GrantClientCredentials):
		role = identity.Viewer
	case c.OrgID != "" && role == identity.Superadmin:
		role = identity.OrgAdmin
	}
	return cmp.Or(c.Role, string(role))
}

// storedClient is the column metadata.
func storedClient(c oauth.Client) string {
	c.LogoURI = ""
	metadata, err := json.Marshal(c)
	if err != nil {
		panic(err) // it was read from JSON
	}
	return string(metadata)
}

// checkGroups refuses groups that do not exist, or not in the organization of the
// client.
func (t *tx) checkGroups(c oauth.Client) error {
	for _, id := range c.AllowedGroups {
		g, err := t.group(id, "")
		if fault.KindOf(err) == fault.NotFound || err == nil && c.OrgID != "" && g.OrgID != c.OrgID {
			return fault.BadField("allowed_groups", "allowed_groups must be ids of groups of the client's organization")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// changeable reads a client for update that the actor may change. One that administers
// nothing is refused before any lookup.
func (t *tx) changeable(act Act, id string, may ClientRule) (identity.Principal, oauth.Client, error) {
	actor, err := t.principal(act.By, t.forShare)
	if err != nil {
		return actor, oauth.Client{}, err
	}
	if err := identity.MayAdminister(actor, actor.OrgID, "client"); err != nil {
		return actor, oauth.Client{}, err
	}
	c, err := t.client(id, t.forUpdate("c"))
	if err != nil {
		return actor, oauth.Client{}, err
	}
	return actor, c, may(actor, c)
}

// ClientChange is what UpdateClient changes.
type ClientChange struct {
	Of     func(oauth.Client) (oauth.Client, error) // returns the changed client; its id and organization stay; nil: it stays
	Status identity.Status                          // empty: it stays
}

// UpdateClient changes a client that the actor may change before and after. A suspension
// ends what the client holds, and activation revives nothing.
func (s *Store) UpdateClient(ctx context.Context, act Act, id string, change ClientChange, may ClientRule) (c oauth.Client, err error) {
	err = s.write(ctx, func(t *tx) error {
		if change.Status == identity.Suspended {
			if err := t.lockIssued(id); err != nil {
				return err
			}
		}
		actor, before, err := t.changeable(act, id, may)
		if err != nil {
			return err
		}
		if c = before; change.Of != nil {
			if c, err = change.Of(before); err != nil {
				return err
			}
			if err := may(actor, c); err != nil {
				return err
			}
			if err := t.claimAudiences(actor, c.OrgID, c.Audiences, before.Audiences); err != nil {
				return err
			}
			if !slices.Equal(c.AllowedGroups, before.AllowedGroups) {
				if err := t.checkGroups(c); err != nil {
					return err
				}
			}
			if err := t.replaceClient(c); err != nil {
				return err
			}
		}
		if change.Status != "" {
			if _, err := t.exec("UPDATE clients SET status = $1 WHERE id = $2", string(change.Status), c.ID); err != nil {
				return err
			}
			if change.Status == identity.Suspended {
				if err := t.endClient(c.ID); err != nil {
					return err
				}
			}
			if c, err = t.client(c.ID, ""); err != nil {
				return err
			}
		}
		return t.done(act, c.ID, c.OrgID)
	})
	return c, err
}

// replaceClient stores the fields of c. One that has no secret any more loses those it
// had.
func (t *tx) replaceClient(c oauth.Client) error {
	if _, err := t.exec("UPDATE clients SET metadata = $1, logo = $2, declared = $3, updated_at = $4 WHERE id = $5",
		storedClient(c), c.LogoURI, oneIf(c.Declared), t.stamp(), c.ID); err != nil {
		return err
	}
	if c.HasSecret() {
		return nil
	}
	_, err := t.exec("DELETE FROM client_secrets WHERE client_id = $1", c.ID)
	return err
}

// issuedTo returns the codes that the client can exchange for tokens: those of authorization
// requests, and of devices whose user has decided.
func (t *tx) issuedTo(clientID string) []selection {
	return []selection{
		{"authorization_requests", "id", unusedCodes, t.unusedCodes(clientID)},
		{"device_codes", "device_hash", "client_id = $1 AND status = '" + deviceAllowed + "'", []any{clientID}},
	}
}

// lockIssued locks what endClient deletes, before the client: each exchange locks the code
// first.
//
// A code that is issued after that, and before the client is locked, may be locked by its
// exchange, which waits for the client now. To wait for it would be a deadlock; the ending
// leaves it, as if it had been issued afterwards.
func (t *tx) lockIssued(id string) error {
	for _, of := range t.issuedTo(id) {
		if err := t.lock(of.table, "a", of.which, of.args...); err != nil {
			return err
		}
	}
	return nil
}

// endClient ends all that the client holds: its codes, its refresh token families, and its
// access tokens, which have no row.
func (t *tx) endClient(id string) error {
	for _, of := range t.issuedTo(id) {
		if _, err := t.deleteUnlocked(of); err != nil {
			return err
		}
	}
	if _, err := t.exec("UPDATE clients SET not_before = $1 WHERE id = $2", t.stamp(), id); err != nil {
		return err
	}
	_, err := t.end(EndClientSuspension, subjects{clientID: id})
	return err
}

// RevokeClientTokens ends all tokens that the client holds, and all codes that it could
// exchange for some.
func (s *Store) RevokeClientTokens(ctx context.Context, act Act, id string, may ClientRule) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.lockIssued(id); err != nil {
			return err
		}
		_, c, err := t.changeable(act, id, may)
		if err != nil {
			return err
		}
		if err := t.endClient(c.ID); err != nil {
			return err
		}
		return t.done(act, c.ID, c.OrgID)
	})
}

// DeleteClient removes a client with all that belongs to it, and ends what it holds. Its
// used codes, which are good for nothing, stay until they are purged: in an hour there are
// more of them than of all else.
func (s *Store) DeleteClient(ctx context.Context, act Act, id string, may ClientRule) error {
	own := []selection{
		{"authorization_requests", "id", "client_id = $1 AND code_hash IS NULL", []any{id}},
		{"device_codes", "device_hash", "client_id = $1", []any{id}},
	}
	return s.write(ctx, func(t *tx) error {
		for _, of := range slices.Concat(t.issuedTo(id), own) { // before the client, as each grant locks them
			if err := t.lock(of.table, "a", of.which, of.args...); err != nil {
				return err
			}
		}
		_, c, err := t.changeable(act, id, may)
		if err != nil {
			return err
		}
		if err := t.endClient(c.ID); err != nil {
			return err
		}
		for _, of := range own {
			if _, err := t.deleteUnlocked(of); err != nil {
				return err
			}
		}
		for _, table := range []string{"client_secrets", "client_assertions", "consents", "logout_deliveries"} {
			if _, err := t.exec("DELETE FROM "+table+" WHERE client_id = $1", c.ID); err != nil {
				return err
			}
		}
		if _, err := t.exec("DELETE FROM clients WHERE id = $1", c.ID); err != nil {
			return err
		}
		return t.done(act, c.ID, c.OrgID)
	})
}

// AddClientSecret stores a further secret, by its hash, of which the client has at most
// two: the oldest one is removed. revoke removes all earlier ones, and ends all tokens.
func (s *Store) AddClientSecret(ctx context.Context, act Act, id, hash string, revoke bool, may ClientRule) (created ClientSecret, err error) {
	err = s.write(ctx, func(t *tx) error {
		if revoke {
			if err := t.lockIssued(id); err != nil {
				return err
			}
		}
		_, c, err := t.changeable(act, id, may)
		if err != nil {
			return err
		}
		if !c.HasSecret() {
			return errNoSecret
		}
		keep := maxSecrets - 1
		if revoke {
			keep = 0
			if err := t.endClient(c.ID); err != nil {
				return err
			}
		}
		if err := t.keepSecrets(c.ID, keep); err != nil {
			return err
		}
		if err := t.insertClientSecret(c.ID, hash); err != nil {
			return err
		}
		secrets, err := t.clientSecrets(c.ID)
		if err != nil {
			return err
		}
		created = secrets[len(secrets)-1]
		return t.done(act, c.ID, c.OrgID)
	})
	return created, err
}

func (t *tx) insertClientSecret(clientID, hash string) error {
	_, err := t.exec("INSERT INTO client_secrets (id, client_id, secret_hash, created_at) VALUES ($1, $2, $3, $4)",
		NewID(), clientID, hash, t.stamp())
	return err
}

// keepSecrets removes all secrets but the newest ones.
func (t *tx) keepSecrets(clientID string, keep int) error {
	secrets, err := t.clientSecrets(clientID)
	if err != nil {
		return err
	}
	for _, old := range secrets[:max(0, len(secrets)-keep)] {
		if _, err := t.exec("DELETE FROM client_secrets WHERE id = $1", old.ID); err != nil {
			return err
		}
	}
	return nil
}

// RemoveClientSecret removes a secret of the client, which keeps at least one.
func (s *Store) RemoveClientSecret(ctx context.Context, act Act, id, secretID string, may ClientRule) error {
	return s.write(ctx, func(t *tx) error {
		_, c, err := t.changeable(act, id, may)
		if err != nil {
			return err
		}
		secrets, err := t.clientSecrets(c.ID)
		switch {
		case err != nil:
			return err
		case !slices.ContainsFunc(secrets, func(s ClientSecret) bool { return s.ID == secretID }):
			return errNoSuchSecret
		case len(secrets) == 1:
			return errLastSecret
		}
		if _, err := t.exec("DELETE FROM client_secrets WHERE id = $1", secretID); err != nil {
			return err
		}
		return t.done(act, c.ID, c.OrgID)
	})
}

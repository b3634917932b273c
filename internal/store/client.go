package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

const (
	clientColumns = `c.id, c.org_id, c.status, COALESCE(o.status, ''), c.metadata, c.declared, c.created_by, c.created_at, c.not_before`
	clientTables  = "clients c LEFT JOIN organizations o ON o.id = c.org_id"
)

var errClientExists = fault.New(fault.Conflict, "client_exists", "a client of this id exists")

// scanClient scans clientColumns, and then more.
func scanClient(r scanner, more ...any) (c oauth.Client, err error) {
	var metadata string
	var status, orgStatus identity.Status
	var declared int64
	var head oauth.Client
	err = r.Scan(append([]any{
		&head.ID, &head.OrgID, (*string)(&status), (*string)(&orgStatus), &metadata, countColumn{&declared}, &head.CreatedBy,
		timeColumn{&head.CreatedAt}, timeColumn{&head.NotBefore},
	}, more...)...)
	if err != nil {
		return oauth.Client{}, err
	}
	if err := json.Unmarshal([]byte(metadata), &c); err != nil {
		return oauth.Client{}, fmt.Errorf("client %s: stored metadata is malformed: %w", head.ID, err)
	}
	c.ID, c.OrgID, c.CreatedBy, c.CreatedAt, c.NotBefore = head.ID, head.OrgID, head.CreatedBy, head.CreatedAt, head.NotBefore
	c.Declared = declared != 0
	c.Suspended = status != identity.Active || c.OrgID != "" && orgStatus != identity.Active
	return c, nil
}

// withLogo scans clientColumns and the logo.
func withLogo(r scanner) (oauth.Client, error) {
	var logo string
	c, err := scanClient(r, &logo)
	c.LogoURI = logo
	return c, err
}

func (t *tx) client(id, lock string) (oauth.Client, error) {
	found, err := collect(t, withLogo, "SELECT "+clientColumns+", c.logo FROM "+clientTables+" WHERE c.id = $1"+lock, id)
	if err == nil && len(found) == 0 {
		return oauth.Client{}, identity.ErrNoClient
	}
	if err != nil {
		return oauth.Client{}, err
	}
	return found[0], nil
}

// Client returns the client, one that is suspended too; its organization's suspension
// counts as its own. identity.ErrNoClient when there is none.
func (s *Store) Client(ctx context.Context, id string) (c oauth.Client, err error) {
	err = s.lookup(ctx, func(t *tx) error {
		c, err = t.client(id, "")
		return err
	})
	return c, err
}

// ClientSecrets returns the client without its logo, as Client does, and the hashes of
// its secrets.
func (s *Store) ClientSecrets(ctx context.Context, id string) (c oauth.Client, hashes []string, err error) {
	err = s.lookup(ctx, func(t *tx) error {
		hashes = nil
		found := false
		err := t.each(func(r scanner) error {
			var hash string
			if c, err = scanClient(r, &hash); hash != "" {
				hashes = append(hashes, hash)
			}
			found = true
			return err
		}, "SELECT "+clientColumns+", COALESCE(s.secret_hash, '') FROM "+clientTables+" LEFT JOIN client_secrets s ON s.client_id = c.id WHERE c.id = $1", id)
		if err == nil && !found {
			err = identity.ErrNoClient
		}
		return err
	})
	if err != nil {
		return oauth.Client{}, nil, err
	}
	return c, hashes, nil
}

// InsertClient stores a client with the hash of its first secret; empty: none. An id in
// use is a Conflict "client_exists". CreatedBy is the user who acts, and the
// organization must exist; empty: users of all organizations.
func (s *Store) InsertClient(ctx context.Context, act Act, c oauth.Client, secretHash string) (stored oauth.Client, err error) {
	err = s.write(ctx, func(t *tx) error {
		stored, err = t.insertClient(act, c, secretHash)
		return err
	})
	return stored, err
}

func (t *tx) insertClient(act Act, c oauth.Client, secretHash string) (oauth.Client, error) {
	actor, err := t.principal(act.By, t.forShare)
	if err != nil {
		return oauth.Client{}, err
	}
	if err := identity.MayManageClients(actor, c.OrgID); err != nil {
		return oauth.Client{}, err
	}
	if c.OrgID != "" {
		if _, err := t.organization(c.OrgID, t.forShare("o")); err != nil {
			return oauth.Client{}, err
		}
	}
	if act.By.Kind == identity.ActorUser {
		c.CreatedBy = act.By.ID
	}
	c.CreatedAt = t.now
	metadata, err := storedClient(c)
	if err != nil {
		return oauth.Client{}, err
	}
	n, err := t.exec(`INSERT INTO clients (id, org_id, status, metadata, logo, declared, created_by, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT (id) DO NOTHING`,
		c.ID, c.OrgID, string(identity.Active), metadata, c.LogoURI, oneIf(c.Declared), c.CreatedBy, t.stamp())
	if err == nil && n == 0 {
		err = errClientExists
	}
	if err == nil && secretHash != "" {
		err = t.insertClientSecret(c.ID, secretHash, t.now)
	}
	if err != nil {
		return oauth.Client{}, err
	}
	return c, t.done(act, c.ID, c.OrgID)
}

func (t *tx) insertClientSecret(clientID, hash string, at time.Time) error {
	_, err := t.exec("INSERT INTO client_secrets (id, client_id, secret_hash, created_at) VALUES ($1, $2, $3, $4)",
		NewID(), clientID, hash, FormatTime(at))
	return err
}

// storedClient is the column metadata.
func storedClient(c oauth.Client) (string, error) {
	c.LogoURI = ""
	metadata, err := json.Marshal(c)
	return string(metadata), err
}

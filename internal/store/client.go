package store

import (
	"context"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

const (
	clientColumns = `c.id, c.org_id, c.status, COALESCE(co.status, ''), c.metadata, c.declared, c.created_by, c.created_at, c.not_before`
	clientTables  = "clients c LEFT JOIN organizations co ON co.id = c.org_id"
)

// scanClient scans clientColumns, and then more.
func scanClient(r scanner, more ...any) (oauth.Client, error) {
	return scanDecoded(decodeClient, r, more...)
}

// scanKnownClient is scanClient for requests that many send, with a client that must not
// be changed in place.
func (t *tx) scanKnownClient(r scanner, more ...any) (oauth.Client, error) {
	return scanDecoded(t.clients.decode, r, more...)
}

func scanDecoded(decode func(string) (oauth.Client, error), r scanner, more ...any) (c oauth.Client, err error) {
	var metadata string
	var status, orgStatus identity.Status
	var declared int64
	var head oauth.Client
	dest := []any{
		&head.ID, &head.OrgID, (*string)(&status), (*string)(&orgStatus), &metadata,
		countColumn{&declared},
		&head.CreatedBy,
		timeColumn{&head.CreatedAt},
		timeColumn{&head.NotBefore},
	}
	err = r.Scan(append(dest, more...)...)
	if err != nil {
		return oauth.Client{}, err
	}
	if c, err = decode(metadata); err != nil {
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

// clientAlone reads the client without its logo, of which a request has no use.
func (t *tx) clientAlone(id, lock string) (oauth.Client, error) {
	found, err := collect(t, func(r scanner) (oauth.Client, error) { return t.scanKnownClient(r) }, "SELECT "+clientColumns+" FROM "+clientTables+" WHERE c.id = $1"+lock, id)
	if err == nil && len(found) == 0 {
		return oauth.Client{}, identity.ErrNoClient
	}
	if err != nil {
		return oauth.Client{}, err
	}
	return found[0], nil
}

// Client returns the client, one that is suspended too; its organization's suspension
// counts as its own. identity.ErrNoClient when there is none. It must not be changed in
// place.
func (s *Store) Client(ctx context.Context, id string) (c oauth.Client, err error) {
	err = s.lookup(ctx, func(t *tx) error {
		var logo string
		found, err := collect(t, func(r scanner) (oauth.Client, error) { return t.scanKnownClient(r, &logo) },
			"SELECT "+clientColumns+", c.logo FROM "+clientTables+" WHERE c.id = $1", id)
		if err == nil && len(found) == 0 {
			err = identity.ErrNoClient
		}
		if err == nil {
			c = found[0]
			c.LogoURI = logo
		}
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
			if c, err = t.scanKnownClient(r, &hash); hash != "" {
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

// ClientFilter narrows a list of clients.
type ClientFilter struct {
	OrgID  string // empty: of all that the actor administers
	Limit  int    // 0 or more than MaxPage: MaxPage
	Cursor string // Page.Next of the previous page; empty: from the start
}

// Clients lists the clients of f.OrgID, empty: those that the actor administers.
func (s *Store) Clients(ctx context.Context, by identity.Actor, f ClientFilter) (p Page[oauth.Client], err error) {
	err = s.listing(ctx, func(t *tx) error {
		l := list[oauth.Client]{
			columns: clientColumns + ", c.logo", from: clientTables, counted: "clients c", alias: "c", scan: withLogo,
			key: func(c oauth.Client) (time.Time, string) { return c.CreatedAt, c.ID },
		}
		of, err := t.listed(by, f.OrgID, "client")
		if err != nil {
			return err
		}
		l.within("c.org_id", of)
		p, err = l.page(t, ListFilter{Limit: f.Limit, Cursor: f.Cursor})
		return err
	})
	return p, err
}

// ClientSecret is a secret of a client, without the secret.
type ClientSecret struct {
	ID        string
	CreatedAt time.Time
}

// ClientDetail is what an administrator sees of a client.
type ClientDetail struct {
	oauth.Client
	Secrets []ClientSecret // oldest first
}

// ClientDetail returns a client that the actor may see.
func (s *Store) ClientDetail(ctx context.Context, by identity.Actor, id string) (d ClientDetail, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		actor, err := t.principal(by, unlocked)
		if err != nil {
			return err
		}
		if err := identity.MayAdminister(actor, actor.OrgID, "client"); err != nil {
			return err
		}
		if d.Client, err = t.client(id, ""); err != nil {
			return err
		}
		if err := identity.MaySeeClients(actor, d.OrgID); err != nil {
			return err
		}
		d.Secrets, err = t.clientSecrets(id)
		return err
	})
	if err != nil {
		return ClientDetail{}, err
	}
	return d, nil
}

// HeldByClient is what a client holds of users.
type HeldByClient struct {
	Users    int
	Families int // of refresh tokens that have neither ended nor reached their absolute end
}

// HeldByClient counts what the client holds.
func (s *Store) HeldByClient(ctx context.Context, id string) (h HeldByClient, err error) {
	err = s.read(ctx, func(t *tx) error {
		// The second condition is that of the index.
		_, err := t.get([]any{&h.Users, &h.Families}, `SELECT COUNT(DISTINCT f.user_id), COUNT(*) FROM refresh_families f
			WHERE f.client_id = $1 AND f.client_id <> '`+identity.FirstPartyClient+`' AND f.ended_at IS NULL AND f.expires_at > $2`, id, t.stamp())
		return err
	})
	return h, err
}

func (t *tx) clientSecrets(clientID string) ([]ClientSecret, error) {
	return collect(t, func(r scanner) (s ClientSecret, err error) {
		err = r.Scan(&s.ID, timeColumn{&s.CreatedAt})
		return s, err
	}, "SELECT id, created_at FROM client_secrets WHERE client_id = $1 ORDER BY created_at, id", clientID)
}

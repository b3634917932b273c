package store

import (
	"cmp"
	"context"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

const (
	serviceColumns = "s.id, s.name, s.role, s.org_id, o.status, s.description, s.created_at, s.revoked_at"
	serviceTables  = "service_tokens s JOIN organizations o ON o.id = s.org_id"
)

var errServiceTaken = fault.New(fault.Conflict, "token_exists", "a service token of this name exists in another organization")

func scanService(r scanner) (s identity.ServiceToken, err error) {
	err = r.Scan(&s.ID, &s.Name, (*string)(&s.Role), &s.OrgID, (*string)(&s.OrgStatus), &s.Description,
		timeColumn{&s.CreatedAt}, timeColumn{&s.RevokedAt})
	return s, err
}

func (t *tx) service(condition, lock string, args ...any) (identity.ServiceToken, error) {
	tokens, err := collect(t, scanService, "SELECT "+serviceColumns+" FROM "+serviceTables+" WHERE "+condition+lock, args...)
	if err == nil && len(tokens) == 0 {
		return identity.ServiceToken{}, identity.ErrNoServiceToken
	}
	if err != nil {
		return identity.ServiceToken{}, err
	}
	return tokens[0], nil
}

// InsertServiceToken stores a service token with the hash of its secret, in
// st.OrgID, empty: the actor's own. When an active token of the name exists in
// that organization, it is returned and created is false.
func (s *Store) InsertServiceToken(ctx context.Context, act Act, st identity.ServiceToken, hash string) (
	stored identity.ServiceToken, created bool, err error,
) {
	err = s.write(ctx, func(t *tx) error {
		stored, created, err = t.insertService(act, st, hash)
		return err
	})
	if err != nil {
		return identity.ServiceToken{}, false, err
	}
	return stored, created, nil
}

func (t *tx) insertService(act Act, st identity.ServiceToken, hash string) (stored identity.ServiceToken, created bool, err error) {
	actor, err := t.principal(act.By, t.forShare)
	if err != nil {
		return st, false, err
	}
	st.OrgID = cmp.Or(st.OrgID, actor.OrgID)
	if err := identity.MayAdminister(actor, st.OrgID, "organization"); err != nil {
		return st, false, err
	}
	if err := identity.MayGrant(actor, st.Role); err != nil {
		return st, false, err
	}
	if err := t.ensureOrg(st.OrgID); err != nil {
		return st, false, err
	}
	if st.ID == "" {
		st.ID = NewID()
	}
	n, err := t.exec(`INSERT INTO service_tokens (id, name, token_hash, role, org_id, description, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING`,
		st.ID, st.Name, hash, string(st.Role), st.OrgID, st.Description, t.stamp())
	if err != nil {
		return st, false, err
	}
	stored, err = t.service("s.name = $1 AND s.revoked_at IS NULL", "", st.Name)
	switch {
	case err != nil:
		return st, false, err
	case n == 1:
		return stored, true, t.done(act, stored.ID, stored.OrgID)
	case stored.OrgID != st.OrgID:
		return st, false, errServiceTaken // names are unique everywhere, but the actor may not see the other token
	default:
		return stored, false, nil
	}
}

// ServiceTokenByHash returns the active token known by one of the hashes,
// NotFound when there is none. The caller checks identity.CanUseServiceToken.
func (s *Store) ServiceTokenByHash(ctx context.Context, hashes []string) (st identity.ServiceToken, err error) {
	first, second, err := hashPair(hashes)
	if err != nil {
		return st, err
	}
	err = s.read(ctx, func(t *tx) error {
		st, err = t.service("s.token_hash IN ($1, $2) AND s.revoked_at IS NULL", "", first, second)
		return err
	})
	return st, err
}

// ServiceTokens lists the active tokens of f.OrgID, empty: of the organizations
// that the actor administers.
func (s *Store) ServiceTokens(ctx context.Context, by identity.Actor, f ListFilter) (p Page[identity.ServiceToken], err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		l := list[identity.ServiceToken]{
			columns: serviceColumns, from: serviceTables, alias: "s", scan: scanService,
			key:   func(st identity.ServiceToken) (time.Time, string) { return st.CreatedAt, st.ID },
			where: []string{"s.revoked_at IS NULL"},
		}
		of, err := t.listed(by, f.OrgID, "service token")
		if err != nil {
			return err
		}
		l.within("s.org_id", of)
		p, err = l.page(t, f)
		return err
	})
	return p, err
}

// RevokeServiceToken revokes the active token of the name. One of a role above the
// actor's own is Forbidden, one of another organization NotFound.
func (s *Store) RevokeServiceToken(ctx context.Context, act Act, name string) error {
	return s.write(ctx, func(t *tx) error {
		actor, err := t.principal(act.By, t.forShare)
		if err != nil {
			return err
		}
		if err := identity.MayAdminister(actor, actor.OrgID, "service token"); err != nil {
			return err
		}
		st, err := t.service("s.name = $1 AND s.revoked_at IS NULL", t.forUpdate("s"), name)
		if err != nil {
			return err
		}
		if err := identity.MayRevoke(actor, st); err != nil {
			return err
		}
		if _, err := t.exec("UPDATE service_tokens SET revoked_at = $1 WHERE id = $2", t.stamp(), st.ID); err != nil {
			return err
		}
		return t.done(act, st.ID, st.OrgID)
	})
}

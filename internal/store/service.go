package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

const (
	serviceColumns = `s.id, COALESCE(s.own_name, s.name), s.role, s.org_id, o.status, s.description, s.owner_id,
		s.created_at, s.expires_at, s.last_used_at, s.revoked_at, s.audiences`
	serviceTables = "service_tokens s JOIN organizations o ON o.id = s.org_id"

	// serviceName selects the active token of the organization $2 with the name $3.
	serviceName = "org_id = $2 AND COALESCE(own_name, name) = $3 AND revoked_at IS NULL"
)

func scanService(r scanner) (s identity.ServiceToken, err error) {
	err = r.Scan(&s.ID, &s.Name, (*string)(&s.Role), &s.OrgID, (*string)(&s.OrgStatus), &s.Description, &s.OwnerID,
		timeColumn{&s.CreatedAt}, timeColumn{&s.ExpiresAt}, timeColumn{&s.LastUsedAt}, timeColumn{&s.RevokedAt}, listColumn{&s.Audiences})
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

func (t *tx) serviceByName(orgID, name, lock string) (identity.ServiceToken, error) {
	return t.service("s.org_id = $1 AND COALESCE(s.own_name, s.name) = $2 AND s.revoked_at IS NULL", lock, orgID, name)
}

// InsertServiceToken stores a service token with the hash of its secret, in
// st.OrgID, empty: the actor's own. When an active token of the name exists in
// that organization, it is returned and created is false. shared are audiences that
// service tokens of all organizations may have.
func (s *Store) InsertServiceToken(ctx context.Context, act Act, st identity.ServiceToken, hash string, shared ...string) (
	stored identity.ServiceToken, created bool, err error,
) {
	err = s.write(ctx, func(t *tx) error {
		stored, created, err = t.insertService(act, st, hash, shared)
		return err
	})
	if err != nil {
		return identity.ServiceToken{}, false, err
	}
	return stored, created, nil
}

func (t *tx) insertService(act Act, st identity.ServiceToken, hash string, shared []string) (stored identity.ServiceToken, created bool, err error) {
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
	if err := t.inherit(act.By, &st); err != nil {
		return st, false, err
	}
	if err := t.claimForService(actor, &st, shared); err != nil {
		return st, false, err
	}
	if err := t.ensureOrg(act, st.OrgID); err != nil {
		return st, false, err
	}
	// The name of an expired token is free.
	if _, err := t.exec("UPDATE service_tokens SET revoked_at = $1 WHERE "+serviceName+" AND expires_at <= $1", t.stamp(), st.OrgID, st.Name); err != nil {
		return st, false, err
	}
	if st.ID == "" {
		st.ID = NewID()
	}
	for _, key := range []string{st.Name, st.ID} { // the id where another organization has the name
		n, err := t.exec(`INSERT INTO service_tokens (id, name, own_name, token_hash, role, org_id, description, created_at, expires_at, owner_id, audiences)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`,
			st.ID, key, st.Name, hash, string(st.Role), st.OrgID, st.Description, t.stamp(), FormatOptional(st.ExpiresAt), st.OwnerID, storedList(st.Audiences))
		if err != nil {
			return st, false, err
		}
		stored, err = t.serviceByName(st.OrgID, st.Name, "")
		switch {
		case fault.KindOf(err) == fault.NotFound && n == 0:
			continue
		case err != nil:
			return st, false, err
		case n == 1:
			return stored, true, t.done(act, stored.ID, stored.OrgID)
		default:
			return stored, false, nil
		}
	}
	return st, false, err
}

// ServiceTokenByHash returns the token known by one of the hashes, NotFound when
// there is none that was not revoked. The caller checks identity.CanUseServiceToken.
func (s *Store) ServiceTokenByHash(ctx context.Context, hashes []string) (st identity.ServiceToken, err error) {
	condition, args, err := whereHash(hashes)
	if err != nil {
		return st, err
	}
	err = s.lookup(ctx, func(t *tx) error {
		st, err = t.service(condition+" AND s.revoked_at IS NULL", "", args...)
		return err
	})
	return st, err
}

// ServiceToken returns the service token that the actor is, ErrInvalidToken when it
// is none. The caller checks identity.CanUseServiceToken.
func (s *Store) ServiceToken(ctx context.Context, by identity.Actor) (st identity.ServiceToken, err error) {
	if by.Kind != identity.ActorServiceToken {
		return st, identity.ErrInvalidToken
	}
	err = s.lookup(ctx, func(t *tx) error {
		st, err = t.service("s.id = $1", "", by.ID)
		return err
	})
	if fault.KindOf(err) == fault.NotFound {
		err = identity.ErrInvalidToken
	}
	return st, err
}

// ServiceTokens lists the active tokens of f.OrgID, empty: of the organizations
// that the actor administers.
func (s *Store) ServiceTokens(ctx context.Context, by identity.Actor, f ListFilter) (p Page[identity.ServiceToken], err error) {
	err = s.listing(ctx, func(t *tx) error {
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

// UpdateServiceToken replaces the audiences of the active token of the name in the
// organization, empty: the actor's own. One of a role above the actor's own is Forbidden,
// one of another organization NotFound. shared are as in InsertServiceToken.
func (s *Store) UpdateServiceToken(ctx context.Context, act Act, orgID, name string, audiences []string, shared ...string) (
	updated identity.ServiceToken, err error,
) {
	err = s.write(ctx, func(t *tx) error {
		actor, st, err := t.administeredService(act.By, orgID, name)
		if err != nil {
			return err
		}
		if err := identity.MayGrant(actor, st.Role); err != nil {
			return err
		}
		if err := identity.MayGiveAudiences(actor); err != nil {
			return err
		}
		if err := t.claimAudiences(actor, st.OrgID, audiences, slices.Concat(st.Audiences, shared)); err != nil {
			return err
		}
		if _, err := t.exec("UPDATE service_tokens SET audiences = $1 WHERE id = $2", storedList(audiences), st.ID); err != nil {
			return err
		}
		st.Audiences = audiences
		updated = st
		return t.done(act, st.ID, st.OrgID)
	})
	return updated, err
}

// RevokeServiceToken revokes the active token of the name in the organization,
// empty: the actor's own. One of a role above the actor's own is Forbidden, one of
// another organization NotFound.
func (s *Store) RevokeServiceToken(ctx context.Context, act Act, orgID, name string) error {
	return s.write(ctx, func(t *tx) error {
		actor, st, err := t.administeredService(act.By, orgID, name)
		if err != nil {
			return err
		}
		if err := identity.MayRevoke(actor, st); err != nil {
			return err
		}
		return t.revokeService(act, st)
	})
}

// administeredService returns the active token of the name in the organization, empty: the
// actor's own, locked, and the actor, who administers the organization.
func (t *tx) administeredService(by identity.Actor, orgID, name string) (actor identity.Principal, st identity.ServiceToken, err error) {
	if actor, err = t.principal(by, t.forShare); err != nil {
		return actor, st, err
	}
	orgID = cmp.Or(orgID, actor.OrgID)
	if err := identity.MayAdminister(actor, orgID, "service token"); err != nil {
		return actor, st, err
	}
	st, err = t.serviceByName(orgID, name, t.forUpdate("s"))
	return actor, st, err
}

func (t *tx) revokeService(act Act, st identity.ServiceToken) error {
	if _, err := t.exec("UPDATE service_tokens SET revoked_at = $1 WHERE id = $2", t.stamp(), st.ID); err != nil {
		return err
	}
	return t.done(act, st.ID, st.OrgID)
}

// UsedServiceTokens records when service tokens, by their ids, were used last.
func (s *Store) UsedServiceTokens(ctx context.Context, used map[string]time.Time) error {
	return s.write(ctx, func(t *tx) error {
		for _, id := range slices.Sorted(maps.Keys(used)) { // one order for all replicas
			_, err := t.exec("UPDATE service_tokens SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)",
				FormatTime(used[id]), id)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

package token

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// maxYear is the last year in which a time is stored in a fixed width.
const maxYear = 9999

// NewServiceToken describes a new service token.
type NewServiceToken struct {
	Name        string     // unique among the unrevoked ones of its organization
	Role        string     // empty: operator
	OrgID       string     // empty: the organization of the actor
	Description string     // optional
	Audiences   []string   // that it may be exchanged for; none: that of the Issuer
	ExpiresAt   *time.Time // nil: never
}

// Filter narrows a list.
type Filter struct {
	OrgID  string // for superadmins; empty: every organization
	Limit  int    // 0: the maximum
	Cursor string // Next of the previous page; empty: the first page
}

// ServiceTokenPage is one page of a list.
type ServiceTokenPage = store.Page[identity.ServiceToken]

// CreateServiceToken makes a service token and returns its secret, which is not
// shown again. If one of that name exists it is returned with an empty secret.
func (i *Issuer) CreateServiceToken(
	ctx context.Context, by identity.Actor, n NewServiceToken,
) (created identity.ServiceToken, secret string, err error) {
	t, err := n.check(i.now(), i.audience)
	if err != nil {
		return identity.ServiceToken{}, "", err
	}
	secret = newServiceToken()
	act := store.Act{Action: identity.ActionCreateServiceToken, By: by, Detail: nameWith(t.Name, t.Audiences)}
	isNew := false
	err = i.throttle.NewClient(ctx, by, func() (made bool, err error) {
		created, isNew, err = i.store.InsertServiceToken(ctx, act, t, hashOf(secret), i.audience)
		return isNew, err
	})
	if err != nil {
		i.audit.Refused(ctx, act, "", err)
		return identity.ServiceToken{}, "", fmt.Errorf("create service token: %w", err)
	}
	if !isNew {
		secret = ""
	}
	return created, secret, nil
}

// nameWith is what an audit event says about the service token.
func nameWith(name string, audiences []string) string {
	if len(audiences) == 0 {
		return name
	}
	return name + " for " + strings.Join(audiences, ", ")
}

// A service token has as many audiences as a client, at most, and they fit into an audit
// event together.
const (
	maxAudiences     = 50
	maxAudiencesSize = 4000
)

// check validates every field. audience is that of the Issuer, which may be any text.
// The store fills in its id and time.
func (n NewServiceToken) check(now time.Time, audience string) (identity.ServiceToken, error) {
	if n.Role == "" {
		n.Role = string(identity.Operator)
	}
	role, badRole := identity.ParseRole(n.Role)
	var expiresAt time.Time
	var badExpiry error
	if n.ExpiresAt != nil {
		expiresAt = n.ExpiresAt.UTC().Truncate(time.Microsecond)
		if !expiresAt.After(now) || expiresAt.Year() > maxYear {
			badExpiry = fault.BadField("expires_at", "expires_at must be in the future")
		}
	}
	err := fault.Gather(
		identity.ValidateServiceTokenName(n.Name),
		badRole,
		identity.ValidateOrgID(n.OrgID),
		identity.ValidateDescription(n.Description),
		badExpiry,
		checkAudiences(n.Audiences, audience),
	)
	return identity.ServiceToken{
		Name: n.Name, Role: role, OrgID: n.OrgID, Description: n.Description, Audiences: n.Audiences, ExpiresAt: expiresAt,
	}, err
}

// checkAudiences checks the audiences of a service token besides that of the Issuer.
func checkAudiences(audiences []string, own string) error {
	if len(audiences) > maxAudiences || len(strings.Join(audiences, "")) > maxAudiencesSize {
		return fault.BadField("audiences", fmt.Sprintf("audiences must have at most %d entries, of %d bytes together", maxAudiences, maxAudiencesSize))
	}
	for _, a := range audiences {
		if err := oauth.ValidateAudience(a); err != nil && a != own {
			return fault.BadField("audiences", "audiences "+err.Error())
		}
	}
	return nil
}

// ValidateServiceToken returns the service token of this secret, or
// identity.ErrInvalidToken; Throttled after too many unknown ones.
func (i *Issuer) ValidateServiceToken(ctx context.Context, by identity.Actor, presented string) (identity.ServiceToken, error) {
	hashes, err := i.serviceHashes(presented)
	if err != nil {
		return identity.ServiceToken{}, i.Limited(ctx, by, err)
	}
	t, err := i.store.ServiceTokenByHash(ctx, hashes)
	if fault.KindOf(err) == fault.NotFound {
		return identity.ServiceToken{}, i.Limited(ctx, by, store.InvalidToken(store.ErrUnknownToken))
	}
	if err != nil {
		return identity.ServiceToken{}, fmt.Errorf("find service token: %w", err)
	}
	now := i.now()
	if !identity.CanUseServiceToken(t, now) {
		return identity.ServiceToken{}, identity.ErrInvalidToken
	}
	i.uses.add(t, now)
	return t, nil
}

// ServiceTokens lists the unrevoked ones that by may see.
func (i *Issuer) ServiceTokens(ctx context.Context, by identity.Actor, f Filter) (ServiceTokenPage, error) {
	switch {
	case f.Limit < 0 || f.Limit > store.MaxPage:
		return ServiceTokenPage{}, fault.BadField("limit", fmt.Sprintf("limit must be from 1 to %d", store.MaxPage))
	case !identity.Storable(f.OrgID):
		return ServiceTokenPage{Items: []identity.ServiceToken{}}, nil
	}
	page, err := i.store.ServiceTokens(ctx, by, store.ListFilter{OrgID: f.OrgID, Limit: f.Limit, Cursor: f.Cursor})
	if err != nil {
		return ServiceTokenPage{}, fmt.Errorf("list service tokens: %w", err)
	}
	return page, nil
}

// UpdateServiceToken replaces the audiences of the service token of that name in the
// organization, empty: the actor's own. None: that of the Issuer. Access tokens that it
// was exchanged for before are accepted by other services until they expire.
func (i *Issuer) UpdateServiceToken(ctx context.Context, by identity.Actor, orgID, name string, audiences []string) (identity.ServiceToken, error) {
	if !identity.Storable(name) || !identity.Storable(orgID) {
		return identity.ServiceToken{}, identity.ErrNoServiceToken
	}
	if err := fault.Gather(checkAudiences(audiences, i.audience)); err != nil {
		return identity.ServiceToken{}, err
	}
	if err := i.throttle.Change(ctx, by); err != nil {
		return identity.ServiceToken{}, fmt.Errorf("update service token: %w", err)
	}
	act := store.Act{Action: identity.ActionUpdateServiceToken, By: by, Detail: nameWith(name, audiences)}
	updated, err := i.store.UpdateServiceToken(ctx, act, orgID, name, audiences, i.audience)
	if err != nil {
		i.audit.Refused(ctx, act, "", err)
		return identity.ServiceToken{}, fmt.Errorf("update service token: %w", err)
	}
	return updated, nil
}

// RevokeServiceToken revokes the service token of that name in the organization,
// empty: the actor's own. Access tokens that it was exchanged for are accepted by
// other services until they expire.
func (i *Issuer) RevokeServiceToken(ctx context.Context, by identity.Actor, orgID, name string) error {
	if !identity.Storable(name) || !identity.Storable(orgID) {
		return identity.ErrNoServiceToken
	}
	if err := i.throttle.Change(ctx, by); err != nil {
		return fmt.Errorf("revoke service token: %w", err)
	}
	act := store.Act{Action: identity.ActionRevokeServiceToken, By: by, Detail: name}
	if err := i.store.RevokeServiceToken(ctx, act, orgID, name); err != nil {
		i.audit.Refused(ctx, act, "", err)
		return fmt.Errorf("revoke service token: %w", err)
	}
	return nil
}

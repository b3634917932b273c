package token

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/pico-auth/pico-auth/internal/store"
)

// claims are the members of an access token, in the order they are written.
// Their names are the contract with every verifier; more may be appended.
type claims struct {
	Subject  string   `json:"sub"`
	Email    string   `json:"email"` // as displayed
	Role     string   `json:"role"`
	OrgID    string   `json:"org_id"`
	Groups   []string `json:"groups"` // ids; the store never hands out nil, so always an array
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"` // a plain string: old clients compare it as one
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"`
	Session  string   `json:"sid"` // the refresh family
}

// draft is everything about a grant that is decided before its transaction.
type draft struct {
	refresh  string // the opaque token itself, shown to the client once
	next     store.NewRefresh
	issuedAt time.Time
}

func (i *Issuer) draft(now time.Time) draft {
	now = now.UTC()
	secret := newRefreshToken()
	return draft{
		refresh:  secret,
		issuedAt: now,
		next: store.NewRefresh{
			ID: newID(), Hash: hashOf(secret), ExpiresAt: now.Add(i.refreshLife),
			AccessJTI: uuid.NewString(), AccessExpiresAt: now.Add(i.accessLife).Truncate(time.Second),
		},
	}
}

// seal signs the access token of a committed grant. A failure leaves the
// committed refresh token unknown to everybody; the person signs in again.
func (i *Issuer) seal(d draft, g store.Grant) (Pair, error) {
	body, err := json.Marshal(claims{
		Subject: g.User.ID, Email: g.User.Email, Role: string(g.User.Role), OrgID: g.User.OrgID,
		Groups: g.Groups, Issuer: i.issuer, Audience: i.audience,
		IssuedAt: d.issuedAt.Unix(), Expires: d.next.AccessExpiresAt.Unix(),
		ID: d.next.AccessJTI, Session: g.FamilyID,
	})
	if err != nil {
		return Pair{}, fmt.Errorf("encode claims: %w", err)
	}
	access, err := i.keys.Sign(body)
	if err != nil {
		return Pair{}, fmt.Errorf("sign access token: %w", err)
	}
	return Pair{AccessToken: access, RefreshToken: d.refresh, ExpiresIn: i.accessLife}, nil
}

// newID returns an id that sorts by its time of birth.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

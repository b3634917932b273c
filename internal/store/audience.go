package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

var errAudienceTaken = fault.New(fault.Conflict, "audience_taken",
	"an audience belongs to a client or service token of another organization, or to a client of all: a superadmin can add it")

// claimAudiences refuses audiences for a client or service token of the organization
// that are not among those it has had, or that all may have, when an administrator of the organization adds
// them and a client or service token of another one, or a client of all, has them: it
// would get tokens for a resource server of others. The issuer belongs to the server.
func (t *tx) claimAudiences(actor identity.Principal, orgID string, audiences, had []string) error {
	claimed := slices.DeleteFunc(slices.Clone(audiences), func(a string) bool { return slices.Contains(had, a) })
	if actor.Role == identity.Superadmin || len(claimed) == 0 {
		return nil
	}
	if slices.ContainsFunc(claimed, t.isIssuer) {
		return identity.ErrForbidden
	}
	if err := t.alone("audiences"); err != nil { // two first claims at the same moment do not see each other
		return err
	}
	taken, err := t.audiencesOfOthers(orgID)
	if err == nil && slices.ContainsFunc(claimed, func(a string) bool { return slices.Contains(taken, a) }) {
		err = errAudienceTaken
	}
	return err
}

// isIssuer reports whether the audience is the issuer of the server, or written so that it
// is taken for it.
func (t *tx) isIssuer(audience string) bool {
	return t.issuer != "" && strings.EqualFold(strings.TrimRight(audience, "/"), strings.TrimRight(t.issuer, "/"))
}

// claimForService is claimAudiences for the audiences of a new service token besides
// those that are shared. One that a service token creates has the audiences of that, or
// some of them: it could otherwise be exchanged for what that may not be.
func (t *tx) claimForService(actor identity.Principal, st *identity.ServiceToken, shared []string) error {
	given := shared
	if actor.Kind == identity.ActorServiceToken {
		creator, err := t.service("s.id = $1", "", actor.ID)
		if err != nil {
			return err
		}
		if len(creator.Audiences) > 0 {
			given = creator.Audiences
			if len(st.Audiences) == 0 {
				st.Audiences = given
			}
		}
	}
	claimed := slices.DeleteFunc(slices.Clone(st.Audiences), func(a string) bool { return slices.Contains(given, a) })
	if len(claimed) == 0 {
		return nil
	}
	if err := identity.MayGiveAudiences(actor); err != nil {
		return err
	}
	return t.claimAudiences(actor, st.OrgID, claimed, nil)
}

// audiencesOfOthers are the audiences that clients and usable service tokens have which
// do not belong to the organization.
func (t *tx) audiencesOfOthers(orgID string) (all []string, err error) {
	err = t.each(func(r scanner) error {
		var metadata string
		if err := r.Scan(&metadata); err != nil {
			return err
		}
		var c oauth.Client
		if err := json.Unmarshal([]byte(metadata), &c); err != nil {
			return fmt.Errorf("read the metadata of a client: %w", err)
		}
		all = append(all, c.Audiences...)
		return nil
	}, `SELECT metadata FROM clients WHERE org_id <> $1 AND metadata LIKE '%"audiences":%'`, orgID)
	if err != nil {
		return nil, err
	}
	err = t.each(func(r scanner) error {
		var audiences []string
		err := r.Scan(listColumn{&audiences})
		all = append(all, audiences...)
		return err
	}, `SELECT audiences FROM service_tokens WHERE audiences <> '' AND org_id <> $1 AND revoked_at IS NULL
		AND (expires_at IS NULL OR expires_at > $2)`, orgID, t.stamp())
	return all, err
}

// listColumn scans a list of texts as storedList returns it. None is nil.
type listColumn struct{ of *[]string }

// Scan implements sql.Scanner.
func (c listColumn) Scan(value any) error {
	text, ok := value.(string)
	if *c.of = nil; !ok {
		return fmt.Errorf("stored list has type %T", value)
	}
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), c.of)
}

// storedList is a list of texts as stored: JSON, or nothing for none.
func storedList(list []string) string {
	if len(list) == 0 {
		return ""
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // texts can be encoded
	}
	return string(text)
}

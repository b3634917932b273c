package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// check adds to the problems of the client what oauth cannot know, and puts its keys
// and algorithms into their stored forms.
func (c *Clients) check(n *oauth.Client, problems []oauth.Problem) error {
	verdicts := []error{identity.ValidateName(n.Name), identity.ValidateOrgID(n.OrgID)}
	for _, p := range append(problems, n.LifetimeProblems(int(c.lifetime.Seconds()))...) {
		verdicts = append(verdicts, fault.BadField(p.Field, p.Message))
	}
	if n.Role != "" {
		_, err := identity.ParseRole(n.Role)
		verdicts = append(verdicts, err)
	}
	for _, role := range n.AllowedRoles {
		if _, err := identity.ParseRole(role); err != nil {
			verdicts = append(verdicts, fault.BadField("allowed_roles", "allowed_roles must be some of viewer, operator, org_admin, superadmin"))
		}
	}
	for _, id := range n.AllowedGroups {
		if !identity.ValidID(id) {
			verdicts = append(verdicts, fault.BadField("allowed_groups", "allowed_groups must be ids of groups"))
		}
	}
	for _, audience := range n.Audiences {
		if audience == c.audience {
			continue // it may be any text
		}
		if err := oauth.ValidateAudience(audience); err != nil {
			verdicts = append(verdicts, fault.BadField("audiences", "audiences "+err.Error()))
		}
	}
	verdicts = append(verdicts, c.checkAlgorithm("id_token_signed_response_alg", &n.IDTokenAlg), c.checkAlgorithm("access_token_signed_response_alg", &n.AccessTokenAlg))
	if len(n.JWKS) > 0 {
		keys, err := publicKeys(n.JWKS)
		if err != nil {
			verdicts = append(verdicts, fault.BadField("jwks", "jwks "+err.Error()))
		}
		n.JWKS = keys
	}
	return fault.Gather(verdicts...)
}

func (c *Clients) checkAlgorithm(field string, name *string) error {
	if *name == "" {
		return nil
	}
	a, err := jose.ParseAlgorithm(*name)
	if err != nil || !slices.Contains(c.algorithms, a) {
		names := make([]string, len(c.algorithms))
		for i, known := range c.algorithms {
			names[i] = string(known)
		}
		return fault.BadField(field, field+" must be one of "+strings.Join(names, ", ")+"; keys.algorithms adds others")
	}
	*name = string(a)
	return nil
}

// maxKeys limits the size of a client's key set, in bytes.
const maxKeys = 16 << 10

// publicKeys returns the key set in its stored form, in which each key has a kid, after
// checking that each key is public and can verify.
func publicKeys(set json.RawMessage) (json.RawMessage, error) {
	var parsed struct {
		Keys []map[string]any `json:"keys"`
	}
	if len(set) > maxKeys {
		return nil, fmt.Errorf("must be at most %d bytes", maxKeys)
	}
	if err := json.Unmarshal(set, &parsed); err != nil || len(parsed.Keys) == 0 {
		return nil, errors.New("must be a JSON Web Key Set with at least one key")
	}
	for i, key := range parsed.Keys {
		if kid, _ := key["kid"].(string); kid == "" {
			key["kid"] = "key " + strconv.Itoa(i+1)
		}
	}
	stored, err := json.Marshal(parsed)
	if err != nil {
		return nil, err
	}
	keys, err := jose.ParseJWKSet(stored)
	if err != nil || len(keys) != len(parsed.Keys) {
		names := make([]string, 0, len(jose.Algorithms()))
		for _, a := range jose.Algorithms() {
			names = append(names, string(a))
		}
		return nil, errors.New("must have public keys for signatures only, each with a kid of its own and an alg out of " + strings.Join(names, ", "))
	}
	return stored, nil
}

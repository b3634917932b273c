package token

import (
	"sort"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
)

// GroupClaim says what the claim groups has.
type GroupClaim string

// The values. The zero value is GroupIDs.
const (
	GroupIDs   GroupClaim = "id"
	GroupNames GroupClaim = "name"
	GroupBoth  GroupClaim = "both" // the ids, and the names in a claim of their own
)

// maxToken keeps the header line of a request with the token under 8,000 bytes: proxies
// and application servers accept 8 KiB of one line, or of all of them.
const maxToken = 8000 - len("Authorization: Bearer \r\n") - 1

// Groups are the claims about the groups of a user.
type Groups struct {
	Groups    []string `json:"groups"`                     // ids or names; never nil
	Names     []string `json:"group_names,omitempty"`      // of GroupBoth, in the order of Groups
	Truncated bool     `json:"groups_truncated,omitempty"` // they are not all
}

// groups returns the claims for all groups of a user; names are in the order of ids, and
// nil for GroupIDs.
func (i *Issuer) groups(ids, names []string) Groups {
	all := Groups{Groups: ids}
	switch i.groupClaim {
	case GroupNames:
		all.Groups = names
	case GroupBoth:
		all.Names = names
	case GroupIDs:
	}
	if all.Groups == nil {
		all.Groups = []string{}
	}
	return all
}

// first are the claims for the first n groups of several.
func (g Groups) first(n int) Groups {
	g.Groups, g.Truncated = g.Groups[:n], true
	if g.Names != nil {
		g.Names = g.Names[:n]
	}
	return g
}

// encodeFor returns the claims of a token of the grant, with as many of the groups as fit.
// Custom claims of a client with which no verifier would read the token are left out of
// it; userinfo has them.
func encodeFor(s keyring.Signer, typ string, g Grant, all Groups, encode func(Grant, Groups) ([]byte, error)) ([]byte, error) {
	claims, err := fit(s, typ, all, func(groups Groups) ([]byte, error) { return encode(g, groups) })
	if err != nil || g.client == nil || len(g.client.Claims) == 0 || s.Size(typ, len(claims)) <= jose.MaxToken {
		return claims, err
	}
	client := *g.client
	client.Claims = nil
	g.client = &client
	return fit(s, typ, all, func(groups Groups) ([]byte, error) { return encode(g, groups) })
}

// fit returns the claims that encode makes for as many of the groups as a token of at
// most maxToken may have.
func fit(s keyring.Signer, typ string, all Groups, encode func(Groups) ([]byte, error)) ([]byte, error) {
	claims, err := encode(all)
	if err != nil || len(all.Groups) == 0 || s.Size(typ, len(claims)) <= maxToken {
		return claims, err
	}
	n := sort.Search(len(all.Groups), func(n int) bool { // the fewest of which one more is too many
		claims, err = encode(all.first(n + 1))
		return err != nil || s.Size(typ, len(claims)) > maxToken
	})
	return encode(all.first(min(n, len(all.Groups)-1)))
}

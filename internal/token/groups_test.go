package token_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/token"
)

// The header of a request with the token stays under 8,000 bytes, whatever the size of
// the signature is: proxies refuse longer ones.
func TestATokenNamesAsManyGroupsAsAHeaderMayHave(t *testing.T) {
	of := store.Subject{}
	for i := range store.MaxGroups {
		of.Groups = append(of.Groups, fmt.Sprintf("01981b60-0c4f-7d0e-b5c1-%012d", i))
		of.GroupNames = append(of.GroupNames, strings.Repeat("ä<", i%128)+fmt.Sprint(i))
	}
	for _, algorithm := range []jose.Algorithm{jose.RS256, jose.ES256, jose.MLDSA44, jose.MLDSA65, jose.MLDSA87} {
		for _, claim := range []token.GroupClaim{"", token.GroupNames, token.GroupBoth} {
			w := open(t, func(c *token.Config, k *keyring.Config) { c.GroupClaim, k.Algorithm = claim, algorithm })
			of.User = w.viewer(t)
			all, names := of.Groups, of.GroupNames
			if claim == token.GroupNames {
				all = names
			}
			mint := func(n int) (string, map[string]any) {
				given := of
				given.Groups, given.GroupNames = of.Groups[:n], of.GroupNames[:n]
				p, err := w.Mint(t.Context(), token.Grant{ClientID: "app"}, func(context.Context, *store.NewFamily) (store.Subject, error) { return given, nil })
				w.must(t, err)
				return "Authorization: Bearer " + p.AccessToken + "\r\n", w.claims(t, p)
			}
			header, claims := mint(store.MaxGroups)
			n := len(claims["groups"].([]any))
			if len(header) >= 8000 || claims["groups_truncated"] != true || n == 0 || n == store.MaxGroups {
				t.Errorf("%s %s: a header of %d bytes, %d groups, truncated: %v", algorithm, claim, len(header), n, claims["groups_truncated"])
			}
			if diff := cmp.Diff(anys(all[:n]), claims["groups"]); diff != "" {
				t.Errorf("%s %s: %s", algorithm, claim, diff)
			}
			if got, there := claims["group_names"]; there != (claim == token.GroupBoth) || there && !cmp.Equal(got, anys(names[:n])) {
				t.Errorf("%s %s: names %v", algorithm, claim, got)
			}
			if _, more := mint(n + 2); more["groups_truncated"] != true {
				t.Errorf("%s %s: %d groups fit, and only %d are named", algorithm, claim, n+2, n)
			}
			_, few := mint(n - 1)
			if _, there := few["groups_truncated"]; there || len(few["groups"].([]any)) != n-1 {
				t.Errorf("%s %s: %d groups are truncated", algorithm, claim, n-1)
			}
		}
	}
}

func anys(texts []string) []any {
	return slices.Collect(func(yield func(any) bool) {
		for _, s := range texts {
			if !yield(s) {
				return
			}
		}
	})
}

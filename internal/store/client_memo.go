package store

import (
	"encoding/json"
	"slices"
	"sync"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

// memoized is how many clients a clientMemo has at most.
const memoized = 128

// clientMemo remembers what the metadata of clients decode to, which takes as long as
// reading them, and most requests at /oauth2/* read one. The key is the stored text, so
// that a client that another process changed is decoded again.
type clientMemo struct {
	mu      sync.RWMutex
	decoded map[string]oauth.Client
}

// decode returns a client whose slices and maps are shared and must not be changed in
// place.
func (m *clientMemo) decode(metadata string) (oauth.Client, error) {
	m.mu.RLock()
	c, known := m.decoded[metadata]
	m.mu.RUnlock()
	if known {
		return c, nil
	}
	c, err := decodeClient(metadata)
	if err != nil {
		return oauth.Client{}, err
	}
	for _, list := range []*[]string{
		&c.RedirectURIs, &c.PostLogoutRedirectURIs, &c.GrantTypes, &c.Scopes, &c.Audiences, &c.AllowedOrigins, &c.AllowedGroups, &c.AllowedRoles,
	} {
		*list = slices.Clip(*list) // an append copies
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.decoded == nil || len(m.decoded) >= memoized {
		m.decoded = make(map[string]oauth.Client)
	}
	m.decoded[metadata] = c
	return c, nil
}

func decodeClient(metadata string) (c oauth.Client, err error) {
	err = json.Unmarshal([]byte(metadata), &c)
	return c, err
}

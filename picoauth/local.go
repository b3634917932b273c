package picoauth

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/localkeys"
)

// localKeys reads the key set of an issuer in the same process.
type localKeys struct {
	from    *localkeys.Transport
	current atomic.Pointer[localSet]
}

// localTransport returns the local key set behind client, nil when it is a client
// for the network.
func localTransport(client *http.Client) *localkeys.Transport {
	if client == nil {
		return nil
	}
	transport, _ := client.Transport.(*localkeys.Transport)
	return transport
}

type localSet struct {
	document []byte // a copy: the caller may reuse its slice
	keys     map[string]*jose.PublicKey
}

func (l *localKeys) key(ctx context.Context, id string) (*jose.PublicKey, error) {
	key, err := l.find(id)
	if key == nil && err == nil && l.from.Refresh != nil {
		l.from.Refresh(ctx)
		key, err = l.find(id)
	}
	if key == nil && err == nil {
		return nil, unknownKey()
	}
	return key, err
}

// revoked is false: the issuer's own process asks its database.
func (*localKeys) revoked(*SecurityContext) bool { return false }

// find returns nil without an error when the set has no such key.
func (l *localKeys) find(id string) (*jose.PublicKey, error) {
	document := l.from.Read()
	set := l.current.Load()
	if set == nil || !bytes.Equal(set.document, document) {
		keys, err := jose.ParseJWKSet(document)
		if err != nil {
			return nil, unavailable(0, errors.Join(errors.New("the local key set is damaged"), err))
		}
		set = &localSet{bytes.Clone(document), keys}
		l.current.Store(set)
	}
	return set.keys[id], nil
}

func unknownKey() *Refusal {
	return invalidToken("the token is signed with a key that the issuer does not list", nil)
}

package picoauth

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"

	"github.com/pico-auth/pico-auth/internal/jose"
)

// localKeys reads the key set of an issuer in the same process.
type localKeys struct {
	read    func() []byte
	current atomic.Pointer[localSet]
}

type localSet struct {
	document []byte // own copy: the caller may reuse what it returned
	keys     map[string]*jose.PublicKey
}

func (l *localKeys) key(_ context.Context, id string) (*jose.PublicKey, error) {
	document := l.read()
	set := l.current.Load()
	if set == nil || !bytes.Equal(set.document, document) {
		keys, err := jose.ParseJWKSet(document)
		if err != nil {
			return nil, unavailable(0, errors.Join(errors.New("the local key set is damaged"), err))
		}
		set = &localSet{bytes.Clone(document), keys}
		l.current.Store(set)
	}
	if key := set.keys[id]; key != nil {
		return key, nil
	}
	return nil, unknownKey()
}

func unknownKey() *Refusal {
	return invalidToken("the token is signed with a key that the issuer does not list", nil)
}

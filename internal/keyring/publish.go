package keyring

import (
	"encoding/json"
	"slices"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Published is the published keys at one time, and those that a Ring signs with. It is
// immutable.
type Published struct {
	infos     []KeyInfo // in the order of the key set
	public    map[string]*jose.PublicKey
	main, all []byte

	keys    *keys
	signers map[jose.Algorithm]Signer
	signing jose.Algorithm // of the key that signs the tokens of the API
	behind  bool           // the private half of a key that is active, or due to be, was unavailable
}

// publish makes the key sets: the main one, and the one with every key.
func (k *keeper) publish(s *keys) *Published {
	p := &Published{public: map[string]*jose.PublicKey{}, keys: s, signers: map[jose.Algorithm]Signer{}}
	main, all := []jose.JWK{}, []jose.JWK{}
	for _, row := range lifecycle.Order(s.KeySet) {
		if row.Status == store.KeyRemoved {
			continue
		}
		key := s.of(row)
		p.infos, all = append(p.infos, k.info(s, row)), append(all, key.JWK())
		p.public[row.KID] = key.PublicKey
		if !lifecycle.PQCOnly(row) {
			main = append(main, key.JWK())
		}
	}
	p.main, p.all = encodeSet(main), encodeSet(all)
	return p
}

func encodeSet(entries []jose.JWK) []byte {
	body, err := json.Marshal(jose.JWKSet{Keys: entries})
	if err != nil {
		panic(err) // structures of strings always marshal
	}
	return slices.Clip(body)
}

// Keys describes all keys in the order of the key set: the one that signs the
// tokens of the API first.
func (p *Published) Keys() []KeyInfo { return slices.Clone(p.infos) }

// Algorithms returns the algorithms of the main key set, that of the active key first.
func (p *Published) Algorithms() (all []jose.Algorithm) {
	for _, k := range p.infos {
		if !k.PQCOnly && !slices.Contains(all, k.Algorithm) {
			all = append(all, k.Algorithm)
		}
	}
	return all
}

// Key returns the published key of that ID, nil: there is none.
func (p *Published) Key(kid string) *jose.PublicKey { return p.public[kid] }

// JWKS returns the main key set. It has keys of type AKP only if the tokens of the API
// are, were or will be signed with one. The bytes are shared: callers must not change
// them.
func (p *Published) JWKS() []byte { return p.main }

// AllJWKS returns the key set with every key.
func (p *Published) AllJWKS() []byte { return p.all }

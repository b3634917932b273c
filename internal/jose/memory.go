package jose

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
)

// memorySlots bounds a Memory: half a megabyte when every slot is taken.
const memorySlots = 1 << 13

// Memory saves the signature check for tokens that are presented repeatedly: it
// remembers under which key the signature of exactly these bytes was good.
// Everything else about a token is checked each time, and the key must still be
// the one that the lookup returns, so the tokens of a removed or replaced key are
// refused.
//
// It keeps a token's SHA-256 and nothing that could be presented. Only tokens with
// a good signature are stored; one may replace another, which costs only time. The
// zero value is empty and ready; nil remembers nothing. It is safe for concurrent
// use.
type Memory struct {
	slots [memorySlots]atomic.Pointer[proof] // by some bits of the sum
}

// proof says that the signature of the token with this sum is one of a key. It
// does not hold the key: a set is parsed again each time it is fetched, and 8,192
// expanded old ML-DSA keys would be half a gigabyte.
type proof struct {
	token      [sha256.Size]byte
	algorithm  *algorithm
	thumbprint string
}

// verify checks the signature of a token, from memory if possible.
func (m *Memory) verify(c compact, public *PublicKey) error {
	if m == nil {
		return c.verify(public)
	}
	if err := c.checkLength(public); err != nil {
		return err // unread: a token may have 16 KiB
	}
	sum := sha256.Sum256(bytesOf(c.token))
	slot := &m.slots[binary.BigEndian.Uint32(sum[:])%memorySlots]
	good := proof{sum, public.algorithm, public.thumbprint}
	if known := slot.Load(); known != nil && *known == good {
		return nil
	}
	if err := c.verify(public); err != nil {
		return err
	}
	stored := good // only this copy is on the heap
	slot.Store(&stored)
	return nil
}

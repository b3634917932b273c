package token

import (
	"strconv"
	"sync/atomic"
)

// recent remembers which refresh tokens this process issued recently. Most tokens
// are presented to the process that issued them: for those the store needs no
// look-up that tells them from made-up ones. A forgotten token costs that
// look-up, so each slot keeps only the newest token.
//
// A client that finds another text with the same 64 bits of SHA-256 gains no more
// than a refusal by the writer instead of by a read.
type recent [1 << 15]atomic.Uint64 // 256 KiB

func (r *recent) add(hash string) {
	if slot, mark, ok := r.slot(hash); ok {
		slot.Store(mark)
	}
}

func (r *recent) has(hash string) bool {
	slot, mark, ok := r.slot(hash)
	return ok && slot.Load() == mark
}

// slot returns where the hash belongs, and what is stored there.
func (r *recent) slot(hash string) (slot *atomic.Uint64, mark uint64, ok bool) {
	if len(hash) < 16 {
		return nil, 0, false
	}
	mark, err := strconv.ParseUint(hash[:16], 16, 64)
	return &r[mark%uint64(len(r))], mark, err == nil
}

package web

import (
	"context"
	"sync"
	"time"
)

const (
	// promptRefusals is how many 429s a network receives without a delay in a second.
	promptRefusals = 20

	// refusalDelay is how long each further one is held back.
	refusalDelay = time.Second

	// maxHeldRefusals bounds what is held back, over all networks, and
	// maxRefusedNetworks the memory.
	maxHeldRefusals    = 1024
	maxRefusedNetworks = 4096
)

// refusals holds the 429s of a network back when it does not stop asking. A client that
// sends its next request when it has a response would otherwise use the processor
// for nothing but refusals, and delay the requests of others. The first refusals are
// sent at once. The zero value is ready for use.
type refusals struct {
	mu       sync.Mutex
	second   int64
	networks map[string]int // 429s in this second
	held     int
}

// wait returns when the 429 may be sent, or the request has ended.
func (s *refusals) wait(ctx context.Context, network string) {
	if !s.hold(network, time.Now().Unix()) {
		return
	}
	late := time.NewTimer(refusalDelay)
	defer late.Stop()
	select {
	case <-late.C:
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.held--
	s.mu.Unlock()
}

// hold counts a 429 and reports whether it is held back.
func (s *refusals) hold(network string, second int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.networks == nil || s.second != second {
		s.second = second
		s.networks = map[string]int{}
	}
	n, known := s.networks[network]
	if !known && len(s.networks) >= maxRefusedNetworks {
		return false
	}
	s.networks[network] = n + 1
	if n < promptRefusals || s.held >= maxHeldRefusals {
		return false
	}
	s.held++
	return true
}
